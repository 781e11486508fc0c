# SPDX-License-Identifier: Apache-2.0
"""How long a scoring takes: `python -m mapkd_core.evaluation.score_speed [FRAMES] [PROTOCOL]` (6000, maptr).

The frames are made up in the size of nuScenes' validation: 50 predictions of 20 points a frame with the scores of all
queries, as MapTR writes them, and about 9 true lines. Reading both files counts. Measure on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.map_files import read_maps, write_maps
from mapkd_core.evaluation.protocols import Settings
from mapkd_core.evaluation.score import Scoring, score
from mapkd_core.types import CLASSES, MapElement

_QUERIES, _POINTS = 50, 20


def made_up_frames(count: int, seed: int = 0) -> tuple[dict[str, list[MapElement]], dict[str, list[MapElement]]]:
    """Truth and predictions by token."""
    rng = np.random.default_rng(seed)
    truth = {f"frame-{i:05d}": [_line(rng) for _ in range(int(rng.integers(4, 15)))] for i in range(count)}
    return truth, {token: _predicted(lines, rng) for token, lines in truth.items()}


def measure(frames: int, protocol: str = "maptr", draw_above: float | None = None) -> dict[str, float]:
    """Seconds of the processor and of the clock, for reading two files and scoring them."""
    truth, predicted = made_up_frames(frames)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "truth.json"), Path(folder, "predicted.json")
        write_maps(paths[0], truth, with_score=False)
        write_maps(paths[1], predicted)
        clock, processor = time.perf_counter(), time.process_time()
        files = read_maps(paths[0], with_score=False), read_maps(paths[1], with_score=True)
        read = time.process_time() - processor
        report = score(*files, Scoring(protocol, Settings(), draw_above=draw_above))
        return {
            "frames": frames, "clock_s": round(time.perf_counter() - clock, 2), "reading_s": round(read, 2),
            "processor_s": round(time.process_time() - processor, 2), "mean": round(report.scores.mean, 4),
        }  # fmt: skip


def _line(rng: np.random.Generator) -> MapElement:
    """Across or along the road, slightly bent; a crossing is a closed rectangle."""
    name = CLASSES[int(rng.choice(3, p=[0.5, 0.2, 0.3]))]
    if name == "ped_crossing":
        corner = rng.uniform([-27, -12], [24, 6])
        return MapElement(name, corner + np.array([[0, 0], [3, 0], [3, 6], [0, 6]]), True)
    start, length = rng.uniform(-30, 0), rng.uniform(8, 30)
    x = np.linspace(start, start + length, 12)
    return MapElement(name, np.stack([x, rng.uniform(-14, 14) + rng.uniform(-0.02, 0.02) * (x - start)], 1))


def _predicted(truth: list[MapElement], rng: np.random.Generator) -> list[MapElement]:
    """Every query answers: near one of the true lines, most with a low score."""
    chosen = [truth[int(i)] for i in rng.integers(0, len(truth), _QUERIES)]
    return [MapElement(e.class_name, _noisy(e, rng), False, float(rng.beta(0.5, 2.0))) for e in chosen]


def _noisy(element: MapElement, rng: np.random.Generator) -> NDArray[np.float64]:
    corners = np.concatenate([element.vertices_m, element.vertices_m[:1]]) if element.is_closed else element.vertices_m
    along = np.linspace(0, len(corners) - 1, _POINTS)
    line = np.stack([np.interp(along, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1)], 1)
    moved = line + rng.normal(0, 1.0, 2) + rng.normal(0, 0.1, line.shape)
    return np.clip(moved, [-30, -15], [30, 15])


if __name__ == "__main__":
    arguments = sys.argv[1:] + ["6000", "maptr"][len(sys.argv) - 1 :]
    sys.stdout.write(f"{measure(int(arguments[0]), arguments[1])}\n")
