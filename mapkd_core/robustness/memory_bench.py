# SPDX-License-Identifier: Apache-2.0
"""What a lost camera costs on a drive, frame by frame and with a memory of what the others saw before.

python -m mapkd_core.robustness.memory_bench --out docs/results/dependability/memory.json

The camera is dead from the start of every drive. Frames count once the vehicle has gone `warm_m`, as far as the map
reaches; the same frames count everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bench import machine
from mapkd_core.bench.drives import DriveFrame, drive_frames
from mapkd_core.data.rasterise import rasterise
from mapkd_core.data.seeds import VALIDATION
from mapkd_core.evaluation.iou import IouAccumulator, argmax_labels
from mapkd_core.mapper import Mapper
from mapkd_core.robustness.conditions import CAMERAS
from mapkd_core.robustness.rigs import without
from mapkd_core.tracking.raster_memory import MemoryOptions, RasterMemory
from mapkd_core.types import LocalMap
from mapkd_core.writing import write_json

FIRST_SEED = VALIDATION.start + 70_000
HEAD = ["camera lost", "frame by frame", "lost", "with memory", "lost", "remembered", "memory always"]


@dataclass(frozen=True)
class MemoryBench:
    """frames: of each drive, `step_s` apart. scale: of the odometry, 1 = right."""

    drives: int = 8
    frames: int = 40
    step_s: float = 0.5
    scale: float = 1.005
    warm_m: float = 30.0
    weights: Path | None = None


class _Case:
    """One camera dead, or none: maps as they are, and with the memory."""

    def __init__(self, mapper: Mapper, camera: str) -> None:
        self.camera, self._mapper = camera, mapper
        self._plain, self._filled, self._always = (IouAccumulator(mapper.grid, mapper.classes) for _ in range(3))
        self._memory, self._remembered = RasterMemory(), list[float]()
        self._near, self._near_ms = RasterMemory(MemoryOptions(always=True)), list[float]()

    def begin(self) -> None:
        self._memory.forget()
        self._near.forget()

    def add(self, seen: DriveFrame, counts: bool) -> None:
        frame = without(seen.frame, (self.camera,)) if self.camera else seen.frame
        found = self._mapper.predict(frame)
        filled = self._memory.fill(found, seen.odom_T_ego)
        begin_s = time.perf_counter()
        always = self._near.fill(found, seen.odom_T_ego)
        if counts:
            self._near_ms.append(1e3 * (time.perf_counter() - begin_s))
            self._remembered.append(self._memory.remembered)
            truth = rasterise(seen.truth, self._mapper.grid, self._mapper.classes)
            self._plain.add(_labels(found), truth)
            self._filled.add(_labels(filled), truth)
            self._always.add(_labels(always), truth)

    def result(self) -> dict[str, float | str]:
        scored = zip(("miou", "with_memory", "always"), (self._plain, self._filled, self._always))
        mious = {name: round(float(np.nanmean(list(iou.iou().values()))), 4) for name, iou in scored}
        remembered = round(float(np.mean(self._remembered)), 4)
        always_ms = round(float(np.median(self._near_ms)), 2)
        return {"camera": self.camera, **mious, "remembered": remembered, "always_ms": always_ms}


def run(bench: MemoryBench) -> dict[str, Any]:
    """head, rows and note for docs/dependability.md, and the figures by camera. ValueError where no frame counts."""
    mapper = Mapper(bench.weights, vectors="query", threads=1)
    cases, counted = [_Case(mapper, camera) for camera in ("", *CAMERAS)], 0
    for number in range(bench.drives):
        gone_m, before = 0.0, None
        for case in cases:
            case.begin()
        for seen in drive_frames(mapper.config, FIRST_SEED + number, bench.frames, bench.step_s, bench.scale):
            place = seen.odom_T_ego[:2, 3]
            gone_m += 0.0 if before is None else float(np.linalg.norm(place - before))
            before = place
            counts = gone_m >= bench.warm_m
            counted += counts
            for case in cases:
                case.add(seen, counts)
    if not counted:
        raise ValueError(f"no drive of {bench.frames} frames goes {bench.warm_m} m: give more frames")
    found = [case.result() for case in cases]
    return {
        "head": HEAD, "rows": rows(found), "cameras": found, "frames": counted, "model_id": mapper.model_id,
        "note": (
            f"mIoU in percent over the whole range, {counted} frames of {bench.drives} rendered drives of validation "
            f"seeds, {1 / bench.step_s:g} a second, after the first {bench.warm_m:g} m; odometry wrong by "
            f"{100 * (bench.scale - 1):.1f} % in scale. Lost: of the mIoU of the whole rig without memory, in percent; "
            "below 0 it gained. Remembered: share of all cells, blind now and seen before, in percent. "
            f"Memory always: mIoU with `memory.always`, {found[0]['always_ms']:.0f} ms a frame on this machine in use; "
            f"there the worst camera costs {100 * _most_lost(found):.0f} % of the whole rig's. "
            f"{mapper.model_id}; {machine.describe(1)['processor']}."
        ),
    }  # fmt: skip


def rows(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A row for the whole rig, then one for each camera."""
    clean = found[0]["miou"]
    return [
        [
            row["camera"] or "none", f"{100 * row['miou']:.1f}", f"{100 * (1 - row['miou'] / clean):.1f}",
            f"{100 * row['with_memory']:.1f}", f"{100 * (1 - row['with_memory'] / clean):.1f}",
            f"{100 * row['remembered']:.1f}", f"{100 * row['always']:.1f}",
        ]
        for row in found
    ]  # fmt: skip


def _most_lost(found: Sequence[dict[str, Any]]) -> float:
    """Share of the whole rig's mIoU that the worst lost camera costs where both remember."""
    return float(1 - min(row["always"] for row in found[1:]) / found[0]["always"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=8, metavar="N")
    parser.add_argument("--frames", type=int, default=40, metavar="N", help="of each, two a second")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="the shipped ones if absent")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, too")
    options = parser.parse_args(arguments)
    result = run(MemoryBench(options.drives, options.frames, weights=options.weights))
    if options.out is not None:
        write_json(options.out, result)
    sys.stdout.write(json.dumps(result["rows"]) + "\n")
    return 0


def _labels(local_map: LocalMap) -> Any:
    assert local_map.probability is not None
    return argmax_labels(local_map.probability)


if __name__ == "__main__":
    sys.exit(main())
