# SPDX-License-Identifier: Apache-2.0
"""What a set of worlds is made from. The same recipe gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mapkd_core.data import seeds

# NuScenesMap knows four names of cities and no others. Worlds are filed under them by split, so that no two splits
# share a map; only the name is that of a real city.
CITIES = {
    "training": "boston-seaport",
    "validation": "singapore-onenorth",
    "test": "singapore-queenstown",
    "demo": "singapore-hollandvillage",
}


@dataclass(frozen=True)
class World:
    """One scene: a procedural world of a seed, or a road map with the look of that seed. `sha256` is the road map's."""

    name: str
    seed: int
    split: str
    path: Path | None = None
    sha256: str = ""

    @property
    def city(self) -> str:
        """Name of the map that the world is part of."""
        return CITIES[self.split]


@dataclass(frozen=True)
class Recipe:
    """worlds in the order of the tables. frames: key frames a scene at 2 Hz. sweeps: turns of the LiDAR (20 Hz) that
    are kept before each key frame, 0 to 9. width, height: of the pictures.
    """

    worlds: tuple[World, ...]
    frames: int = 20
    width: int = 800
    height: int = 450
    sweeps: int = 2
    jpeg_quality: int = 90
    version: str = "v1.0-mapkd"
    rate_hz: float = field(default=2.0, init=False)

    def __post_init__(self) -> None:
        if not self.worlds or self.frames < 1 or not 0 <= self.sweeps <= 9 or min(self.width, self.height) < 16:
            raise ValueError(
                f"{len(self.worlds)} worlds of {self.frames} frames, {self.sweeps} sweeps, {self.width} x {self.height}"
                " pixels: need at least one world and frame, 0 to 9 sweeps, pictures of 16 x 16 or more"
            )
        if len({world.name for world in self.worlds}) < len(self.worlds):
            raise ValueError("two worlds of the set have one name; name each road map once")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; road maps by name and hash, not by their place on this machine."""
        worlds = [{k: v for k, v in asdict(world).items() if k != "path"} for world in self.worlds]
        return asdict(self) | {"worlds": worlds}


def standard_worlds(counts: dict[str, int], maps: Sequence[Path] = ()) -> tuple[World, ...]:
    """The first procedural worlds of each split, and a test world over each road map.

    Raises FileNotFoundError for a road map that is not there.
    """
    worlds = [
        World(f"procedural-{seed}", seed, split)
        for split, count in counts.items()
        for seed in range(seeds.SPLITS[split].start, seeds.SPLITS[split].start + count)
    ]
    for number, path in enumerate(maps):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such road map; expected files *.json.gz")
        name = path.name.removesuffix(".gz").removesuffix(".json")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        worlds.append(World(f"roads-{name}", seeds.TEST.start + number, "test", path, digest))
    return tuple(worlds)
