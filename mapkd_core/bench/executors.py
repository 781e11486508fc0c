# SPDX-License-Identifier: Apache-2.0
"""The map node under rclpy's two executors, in turns, on the same drive of recorded pictures; needs ROS 2."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bench import machine
from mapkd_core.bench.recorded import jpegs, repeat
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.demo import nodes
from mapkd_core.evaluation.report import table

VARIABLE, EXECUTORS = "MAPKD_EXECUTOR", ("wait_set", "events")  # as mapkd_ros.executor has them
LABELS = {"wait_set": "`SingleThreadedExecutor`", "events": "`EventsExecutor`"}


def run(weights: Path | None, recorded: FrameFolder, seconds: float = 10.0, turns: int = 3) -> dict[str, Any]:
    """Each executor `turns` times at the cameras' own rate; medians over the turns, JSON-ready.

    Raises NodesFailedError where a node fails, ValueError for pictures that `recorded.jpegs` refuses.
    """
    files = jpegs(recorded)
    played: dict[str, list[dict[str, float]]] = {name: [] for name in EXECUTORS}
    with tempfile.TemporaryDirectory(prefix="mapkd-executors-") as folder:
        repeat(recorded, Path(folder) / "drive.mcap", seconds)
        for _ in range(turns):
            for name in EXECUTORS:
                with _chosen(name):
                    found = nodes.play(Path(folder) / "drive.mcap", seconds, Path(folder) / name, weights)
                played[name].append(_kept(found))
    return {
        "schema": 1, "machine": machine.describe(os.cpu_count() or 1), "seconds": seconds, "turns": turns,
        "jpeg_bytes": int(np.mean([len(file) for file in files])),
        "executors": {name: _medians(rows) for name, rows in played.items()},
    }  # fmt: skip


def markdown(result: dict[str, Any]) -> list[str]:
    """A row for each executor."""
    rows = [
        [
            LABELS[name], f"{100 * row['share']:.0f} %", f"{row['latency_p50']:.0f} ms", f"{row['latency_p95']:.0f} ms",
            f"{row['queue']:.1f} ms", f"{row['network']:.0f} ms",
        ]
        for name, row in result["executors"].items()
    ]  # fmt: skip
    told = f"Medians of {result['turns']} drives of {result['seconds']:.0f} s each, in turns"
    return [
        *table(["rclpy's", "maps of frames", "latency p50", "p95", "queue", "network"], rows),
        "",
        f"{told}: six JPEGs of {result['jpeg_bytes'] / 1000:.0f} kB at 12 Hz. {result['machine']['processor']}, "
        f"{result['machine']['cores']} cores, which replay, recorder and evaluation share.",
    ]


@contextmanager
def _chosen(name: str) -> Iterator[None]:
    """For the processes that are started meanwhile."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _kept(metrics: dict[str, Any]) -> dict[str, float]:
    """Share of the frames that became maps; milliseconds from capture to map; medians of two stages."""
    latency, stages = metrics["latency_ms"], metrics["stages_ms"]
    return {
        "share": metrics["frames_out_over_in"], "latency_p50": latency["p50"], "latency_p95": latency["p95"],
        "queue": stages["queue"]["p50"], "network": stages["network"]["p50"],
    }  # fmt: skip


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.median([row[key] for row in rows])), 4) for key in rows[0]}
