# SPDX-License-Identifier: Apache-2.0
"""How long a network's answer takes to become polylines, by either head, over many frames of rendered drives.

The answers are computed first. Then every frame is vectorised by one head after the other, round by round, so that no
call finds in the caches what the last one left there. CPU time counts all threads of the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bench import machine
from mapkd_core.bench.drives import drive_frames
from mapkd_core.bench.timing import torch_threads
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import prepare
from mapkd_core.data.seeds import VALIDATION
from mapkd_core.evaluation.report import table
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import plan
from mapkd_core.models.inference import Runner, make_runner
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.types import MapElement
from mapkd_core.vectorise import vectorise
from mapkd_core.vectorising.query_lines import query_elements

AIMS_MS = {"query": 5.0, "raster": 15.0}
WORLDS, FRAMES, STEP_S = 20, 5, 3.0
_FIRST_SEED = VALIDATION.start + 60_000

Call = Callable[[], tuple[MapElement, ...]]


class Answer(NamedTuple):
    """Of the network: K Y X uint8, Q K in 0..1, Q P 2 in [0, 1]."""

    probability: NDArray[np.uint8]
    scores: NDArray[Any]
    points: NDArray[Any]


def run(
    weights: Path | None = None,
    repeats: int = 10,
    threads: int | None = None,
    worlds: int = WORLDS,
    frames: int = FRAMES,
    backend: str = "auto",
) -> dict[str, Any]:
    """Measure; JSON-ready. repeats: how often each frame is vectorised by each head. backend: of the network.

    Raises ValueError for a count that is not positive.
    """
    if min(repeats, worlds, frames) < 1:
        raise ValueError(f"repeats {repeats}, worlds {worlds}, frames {frames}: each must be at least 1")
    count, before = threads or default_threads(), machine.load()
    model, card = load_weights(weights or SHIPPED)
    grid, classes, least = model.config.grid, model.config.classes, card.get("min_confidence", 0.3)
    with torch_threads(count):
        run_network = make_runner(model, backend, "cpu", card, count)
        answers = _answers(run_network, model.config, worlds, frames)
        calls: dict[str, list[Call]] = {
            "query": [partial(query_elements, a.scores, a.points, grid, classes, least) for a in answers],
            "raster": [partial(vectorise, a.probability, grid, classes) for a in answers],
        }
        times = _times(calls, repeats)
    load = {"load_before": before, "load_after": machine.load()}
    return {
        "schema": 1,
        "sha256": card["sha256"],
        "machine": machine.describe(count) | load,
        "frames": len(answers),
        "worlds": worlds,
        "repeats": repeats,
        "canvas": list(grid.shape),
        "heads": {
            head: {
                "wall_ms": _spread([wall for wall, _ in times[head]]),
                "cpu_ms": _spread([cpu for _, cpu in times[head]]),
                "polylines": round(float(np.mean([len(call()) for call in calls[head]])), 1),
                "aim_ms": AIMS_MS[head],
            }
            for head in calls
        },
    }


def markdown(result: dict[str, Any]) -> list[str]:
    """A row for each head."""
    columns = ["wall p50", "wall p95", "CPU p50", "CPU p95"]
    rows = [
        [
            head,
            *(f"{row[kind][share]:.1f} ms" for kind in ("wall_ms", "cpu_ms") for share in ("p50", "p95")),
            f"{row['aim_ms']:g} ms",
            f"{row['polylines']:.1f}",
        ]
        for head, row in result["heads"].items()
    ]
    on, (height, width) = result["machine"], result["canvas"]
    busy = max(on["load_before"], on["load_after"]) > on["threads"] + 0.5
    note = " Other processes were running: wall times are upper bounds." if busy else ""
    return [
        *table(["head", *columns, "aim", "polylines a frame"], rows),
        "",
        f"{result['frames']} frames of {result['worlds']} rendered drives, {result['repeats']} times each; a canvas of "
        f"{width} x {height} cells. {on['processor']}, {on['threads']} threads.{note}",
    ]


def _answers(run_network: Runner, config: ModelConfig, worlds: int, frames: int) -> list[Answer]:
    found = []
    for world in range(worlds):
        for shown in drive_frames(config, _FIRST_SEED + world, frames, STEP_S):
            prepared = prepare(shown.frame, config)
            lookup = plan(config, prepared.K, prepared.ego_T_camera, prepared.valid)
            found.append(Answer(*(np.array(part) for part in run_network(prepared.images, lookup))))
    return found


def _times(calls: dict[str, list[Call]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds on the clock and of computing, of every call; the first round does not count."""
    times: dict[str, list[tuple[float, float]]] = {head: [] for head in calls}
    for round_ in range(1 + repeats):
        for together in zip(*calls.values(), strict=True):
            for head, call in zip(calls, together, strict=True):
                begin_s, computed_s = time.perf_counter(), time.process_time()
                call()
                cpu_ms, wall_ms = 1e3 * (time.process_time() - computed_s), 1e3 * (time.perf_counter() - begin_s)
                if round_:
                    times[head].append((wall_ms, cpu_ms))
    return times


def _spread(times_ms: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times_ms, (50, 95))
    return {"p50": float(f"{p50:.4g}"), "p95": float(f"{p95:.4g}")}
