# SPDX-License-Identifier: Apache-2.0
"""What fusing successive maps is worth: AP, consistency and steadiness beside the single frame's, on drives.

Both rows bear the same track numbers (those of the fusion), so consistency tells of the lines, not of the matching.
The vehicle's odometry is wrong in scale. Truth gets its tracks as the predictions do: by following it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core import geometry
from mapkd_core.bench.drives import drive_frames
from mapkd_core.bench.machine import describe, load
from mapkd_core.bench.steadiness import Steadiness
from mapkd_core.data import seeds
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Settings
from mapkd_core.evaluation.report import table
from mapkd_core.grid import BevGrid
from mapkd_core.mapper import Mapper
from mapkd_core.tracking import FusionOptions, MapFusion, TrackedElement
from mapkd_core.tracking.around import around
from mapkd_core.types import LocalMap, MapElement

_FIRST_SEED = seeds.TEST.start + 500  # the gate of the fusion was chosen by looking at three of the first ones


@dataclass(frozen=True)
class FusionBench:
    """frames: of each drive, `step_s` apart. scale: of the odometry, 1 = right. options: of the fusion."""

    drives: int = 4
    frames: int = 40
    step_s: float = 0.2
    scale: float = 1.005
    weights: Path | None = None
    options: FusionOptions = field(default_factory=FusionOptions)


class Step(NamedTuple):
    """One frame of a drive. odom_T_ego: as a wrong odometry says; truth: in the ego frame, where the vehicle is."""

    scene: str
    local_map: LocalMap
    odom_T_ego: NDArray[np.float64]
    truth: tuple[MapElement, ...]


def run(bench: FusionBench) -> dict[str, Any]:
    """JSON-ready. Raises ValueError below one drive of two frames."""
    if bench.drives < 1 or bench.frames < 2:
        raise ValueError(f"{bench.drives} drives of {bench.frames} frames; need at least one of two")
    busy, mapper = load(), Mapper(bench.weights, threads=1)
    scores = {name: _Row(mapper.grid, mapper.classes) for name in ("single frame", "fused")}
    times_ms: list[float] = []
    for number in range(bench.drives):
        fusion, truths = MapFusion(bench.options), MapFusion(FusionOptions(min_hits=1, gate_m=0.5))
        for step in steps(mapper, _FIRST_SEED + number, bench):
            begin = time.perf_counter()
            fused = fusion.update(step.local_map, step.odom_T_ego)
            times_ms.append(1e3 * (time.perf_counter() - begin))
            truths.update(replace(step.local_map, elements=step.truth, observed=None), step.odom_T_ego)
            truth = numbered(step.truth, truths.numbers)
            single = numbered(step.local_map.elements, fusion.numbers)
            scores["single frame"].add(step, single, truth)
            scores["fused"].add(step, around(fused, step.odom_T_ego, mapper.grid), truth)
    return {
        "rows": {name: row.result() for name, row in scores.items()}, "drives": bench.drives, "frames": bench.frames,
        "rate_hz": round(1 / bench.step_s, 2), "odometry_scale": bench.scale, "model": mapper.model_id,
        "update_ms": percentiles(times_ms), "forty_polylines_ms": percentiles(forty_polylines()),
        "load_before": busy, "machine": describe(1),
    }  # fmt: skip


def steps(mapper: Mapper, seed: int, bench: FusionBench) -> Iterator[Step]:
    """The frames of one rendered drive, predicted."""
    for seen in drive_frames(mapper.config, seed, bench.frames, bench.step_s, bench.scale):
        yield Step(seen.scene, mapper.predict(seen.frame), seen.odom_T_ego, seen.truth)


def numbered(elements: Sequence[MapElement], numbers: Sequence[int]) -> tuple[TrackedElement, ...]:
    """With the tracks' numbers; what has none gets one that no other has in this frame, below 0."""
    return tuple(
        TrackedElement(e.class_name, e.vertices_m, e.is_closed, e.confidence, number or -1 - i)
        for i, (e, number) in enumerate(zip(elements, numbers, strict=True))
    )


def forty_polylines(frames: int = 100) -> list[float]:
    """Milliseconds of fusing maps of 38 lines of 60 m and 2 crossings, on a vehicle at 8 m/s, ten a second."""
    rng, fusion, x = np.random.default_rng(0), MapFusion(), np.linspace(-30, 30, 20)
    crossing = np.array([[10.0, -3], [14, -3], [14, 3], [10, 3]])
    times_ms = []
    for i in range(frames):
        lines = [
            MapElement(
                ("divider", "boundary", "stop_line")[k % 3],
                np.stack([x, y + rng.normal(0, 0.1, len(x))], 1),
                False,
                0.8,
            )
            for k, y in enumerate(np.linspace(-14, 14, 38))
        ]
        areas = [MapElement("ped_crossing", crossing - (shift, 0), True, 0.8) for shift in ((0.8 * i) % 5, 25)]
        local_map = LocalMap(BevGrid(), (*lines, *areas), stamp_ns=i * 100_000_000)
        begin = time.perf_counter()
        fusion.update(local_map, geometry.planar(0.8 * i, 0, 0))
        times_ms.append(1e3 * (time.perf_counter() - begin))
    return times_ms[frames // 4 :]


def percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times_ms, (50, 95))
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def markdown(result: dict[str, Any]) -> list[str]:
    """The rows, and what they were measured on."""
    rows = [
        [name, _share(r["map"]), _share(r["cmap"]), f"{100 * r['step_m']:.0f} cm", _share(r["lost"])]
        for name, r in result["rows"].items()
    ]
    head = ["polylines", "mAP", "consistency mAP", "moves from frame to frame", "lost from frame to frame, percent"]
    update, forty = result["update_ms"], result["forty_polylines_ms"]
    return [
        *table(head, rows), "",
        f"{result['drives']} drives of {result['frames']} frames, {result['rate_hz']:g} a second, odometry wrong by "
        f"{100 * (result['odometry_scale'] - 1):.1f} % in scale; {result['model']}. Fusing a map takes "
        f"{update['p50']:.1f} ms (p95 {update['p95']:.1f}), one of 40 polylines {forty['p50']:.1f} ms (p95 "
        f"{forty['p95']:.1f}). {result['machine']['processor']}, load {result['load_before']} before.",
    ]  # fmt: skip


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _finite(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


class _Row:
    """AP by StreamMapNet's protocol, of which consistency AP is the stricter sister, and steadiness."""

    def __init__(self, grid: BevGrid, classes: tuple[str, ...]) -> None:
        settings = Settings(grid, classes)
        self._ap, self._cmap = PROTOCOLS["streammapnet"].make(settings), PROTOCOLS["cmap"].make(settings)
        self._steadiness = Steadiness(grid)
        self._count = 0

    def add(self, step: Step, predicted: Sequence[MapElement], truth: Sequence[MapElement]) -> None:
        self._count += 1
        frame = ScoredFrame(f"{step.scene}-{self._count}", predicted, truth, step.scene)
        self._ap.add(frame)
        self._cmap.add(frame)
        self._steadiness.add(step.scene, predicted, step.odom_T_ego)

    def result(self) -> dict[str, Any]:
        ap, cmap = self._ap.scores(), self._cmap.scores()
        return {
            "map": _finite(ap.mean), "class_ap": {name: _finite(v) for name, v in ap.class_score.items()},
            "cmap": _finite(cmap.mean), "class_cmap": {name: _finite(v) for name, v in cmap.class_score.items()},
            **self._steadiness.result(),
        }  # fmt: skip
