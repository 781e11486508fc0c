# SPDX-License-Identifier: Apache-2.0
"""The rendered drive of the demo as a bag: made once, kept while nothing it is made from changes."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapkd_core import worlds
from mapkd_core.bags import from_world, to_messages, write
from mapkd_core.bags.from_world import write_world_drive
from mapkd_core.data import seeds
from mapkd_core.worlds import procedural, road_map_file


@dataclass(frozen=True)
class DemoDrive:
    """Everything a user may choose about the drive.

    seed: of the procedural world, or of the look of `road_map`, a file. seconds: at most. width, height: pixels.
    """

    seed: int = seeds.DEMO.start
    road_map: str = ""
    seconds: float = 12.0
    rate_hz: float = 12.0
    width: int = 800
    height: int = 450


def ensure(path: Path, drive: DemoDrive, workers: int | None = None) -> bool:
    """Make sure that the bag of this drive is at `path`; True where it had to be rendered."""
    record = path.with_name(f"{path.stem}.inputs.json")
    wanted = inputs(drive)
    if path.is_file() and record.is_file() and json.loads(record.read_text()) == wanted:
        return False
    if not drive.road_map and seeds.split_of(drive.seed) in ("training", "validation"):
        raise ValueError(
            f"seed {drive.seed} belongs to {seeds.split_of(drive.seed)}: the weights may have seen it; "
            f"take one from {seeds.DEMO.start} on"
        )
    road_map = road_map_file.load(drive.road_map) if drive.road_map else procedural.make_road_map(drive.seed)
    for old in (record, path):
        old.unlink(missing_ok=True)
    write_world_drive(
        road_map, drive.seed, path, drive.seconds, drive.rate_hz,
        image_size=(drive.width, drive.height), workers=workers or os.cpu_count() or 1,
    )  # fmt: skip
    record.write_text(json.dumps(wanted, indent=1) + "\n")
    return True


def inputs(drive: DemoDrive) -> dict[str, Any]:
    """The choices, and a hash of the code (and the road map) that make pixels and messages of them."""
    digest = hashlib.sha256()
    sources = [source for folder in worlds.__path__ for source in sorted(Path(folder).rglob("*.py"))]
    sources += [Path(str(module.__file__)) for module in (from_world, to_messages, write)]
    for source in [*sources, *filter(Path.is_file, [Path(drive.road_map)])]:
        digest.update(source.read_bytes())
    return asdict(drive) | {"code": digest.hexdigest(), "numpy": np.__version__, "opencv": cv2.__version__}
