# SPDX-License-Identifier: Apache-2.0
"""How often the watches tell a fault, and how often they cry wolf, on rendered drives.

python -m mapkd_core.robustness.watch_bench --drives 20 --out docs/results/dependability/watches.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.data.seeds import VALIDATION
from mapkd_core.geometry import from_euler
from mapkd_core.robustness import rigs
from mapkd_core.robustness.mount_watch import MountWatch
from mapkd_core.robustness.picture_watch import PictureWatch
from mapkd_core.types import Frame
from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.render import Renderer
from mapkd_core.writing import write_json

FRAMES, STEP_M, PICTURE = 10, 2.0, (400, 225)
_Drive = Sequence[Frame]


def run(drives: int, first_seed: int = VALIDATION.start) -> dict[str, Any]:
    """A row for each fault: told, the share of drives in which all its cameras were named; others_told, in which any
    other was. Raises ValueError for less than one drive."""
    if drives < 1:
        raise ValueError(f"drives = {drives}; must be at least 1")
    counts: dict[str, list[int]] = {}
    for frames in _drives(first_seed, drives):
        for name, (spoil, cameras) in _FAULTS.items():
            told = set(named([spoil(frame) for frame in frames]))
            kept = counts.setdefault(name, [0, 0, 0])
            kept[:] = [kept[0] + 1, kept[1] + (bool(cameras) and cameras <= told), kept[2] + bool(told - cameras)]
    rows = [
        {"fault": name, "drives": n, "told": round(hits / n, 3), "others_told": round(others / n, 3)}
        for name, (n, hits, others) in counts.items()
    ]
    source = f"{drives} rendered drives of {FRAMES} frames, {STEP_M:g} m apart, seeds from {first_seed}"
    return {"source": source, "rows": rows}


def named(frames: _Drive) -> list[str]:
    """Cameras that any watch blames."""
    mounts, watches, blamed = MountWatch(), {c.name: PictureWatch() for c in frames[0].cameras}, set()
    for frame in frames:
        mounts.look(frame)
        for camera in frame.cameras:
            if camera.image is not None and watches[camera.name].look(camera.image, frame.stamp_ns, STEP_M):
                blamed.add(camera.name)
    return sorted(blamed | set(mounts.faults()))


def _turned(frame: Frame, name: str, degrees: tuple[float, float, float]) -> Frame:
    turn = from_euler(*np.radians(degrees))

    def change(pose: np.ndarray) -> np.ndarray:
        told = pose.copy()
        told[:3, :3] = told[:3, :3] @ turn
        return told

    cameras = (replace(c, ego_T_camera=change(c.ego_T_camera)) if c.name == name else c for c in frame.cameras)
    return replace(frame, cameras=tuple(cameras))


_FAULTS: dict[str, tuple[Callable[[Frame], Frame], set[str]]] = {
    "none": (lambda frame: frame, set()),
    **{f"swapped {a}, {b}": (partial(rigs.swapped, severity=s), {a, b}) for s, (a, b) in enumerate(rigs.SWAPPED, 1)},
    **{
        f"{name} {axis} 3 degrees off": (partial(_turned, name=name, degrees=degrees), {name})
        for name in ("CAM_FRONT", "CAM_BACK_LEFT")
        for axis, degrees in (("pitch", (3.0, 0.0, 0.0)), ("yaw", (0.0, 3.0, 0.0)))
    },
}


def _drives(first_seed: int, count: int) -> Iterator[list[Frame]]:
    cameras = rig.scaled(rig.nuscenes_rig(), *PICTURE)
    for seed in range(first_seed, first_seed + count):
        road_map = procedural.make_road_map(seed)
        renderer = Renderer(road_map, seed)
        way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(road_map.ego[:, 1:3], axis=0), axis=1))])
        begin = min(10.0, max(0.0, float(way[-1]) - FRAMES * STEP_M))
        at = np.interp(begin + STEP_M * np.arange(FRAMES), way, road_map.ego[:, 0])
        yield [renderer.frame(float(t), cameras) for t in at if t < road_map.ego[0, 0] + drive.duration(road_map)]


def main(arguments: list[str] | None = None) -> int:
    """Writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drives", type=int, default=20, metavar="N", help="worlds, of the validation seeds")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, too")
    options = parser.parse_args(arguments)
    result = run(options.drives)
    if options.out:
        write_json(options.out, result)
    sys.stdout.write("".join(f"{row}\n" for row in result["rows"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
