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

VARIABLE = "MAPKD_EXECUTOR"  # as mapkd_ros.executor has it, and its names
Case = tuple[str, int, bool]  # executor, frames a second, whether what is published is recorded
RUNS: tuple[Case, ...] = (("wait_set", 12, True), ("events", 12, True), ("events", 15, True), ("events", 15, False))
LABELS = {"wait_set": "`SingleThreadedExecutor`", "events": "`EventsExecutor`"}


def run(weights: Path | None, recorded: FrameFolder, seconds: float = 10.0, turns: int = 3) -> dict[str, Any]:
    """Every one of RUNS `turns` times; medians over the turns, JSON-ready.

    Raises NodesFailedError where a node fails, ValueError for pictures that `recorded.jpegs` refuses.
    """
    files = jpegs(recorded)
    played: dict[Case, list[dict[str, float]]] = {case: [] for case in RUNS}
    with tempfile.TemporaryDirectory(prefix="mapkd-executors-") as folder:
        bags = {rate: Path(folder) / f"{rate}_hz.mcap" for _, rate, _ in RUNS}
        for rate, bag in bags.items():
            repeat(recorded, bag, seconds, rate)
        for _ in range(turns):
            for name, rate, is_recorded in RUNS:
                with _chosen(name):
                    found = nodes.play(bags[rate], seconds, Path(folder) / name, weights, is_recorded=is_recorded)
                played[name, rate, is_recorded].append(_kept(found))
    return {
        "schema": 1, "machine": machine.describe(os.cpu_count() or 1), "seconds": seconds, "turns": turns,
        "jpeg_bytes": int(np.mean([len(file) for file in files])),
        "runs": [
            {"executor": name, "rate_hz": rate, "is_recorded": is_recorded, **_medians(rows)}
            for (name, rate, is_recorded), rows in played.items()
        ],
    }  # fmt: skip


def markdown(result: dict[str, Any]) -> list[str]:
    """A row for each run."""
    rows = [
        [
            LABELS[row["executor"]], "yes" if row.get("is_recorded", True) else "no", f"{row['rate_hz']} Hz",
            f"{100 * row['share']:.0f} %", f"{row['latency_p50']:.0f} ms", f"{row['latency_p95']:.0f} ms",
            f"{row['queue']:.1f} ms", f"{row['network']:.0f} ms",
        ]
        for row in result["runs"]
    ]  # fmt: skip
    told = f"Medians of {result['turns']} drives of {result['seconds']:.0f} s each, in turns"
    return [
        *table(["rclpy's", "recorded", "frames", "became maps", "latency p50", "p95", "queue", "network"], rows),
        "",
        f"{told}: six JPEGs of {result['jpeg_bytes'] / 1000:.0f} kB a frame. {result['machine']['processor']}, "
        f"{result['machine']['cores']} cores, which replay, evaluation and, where it records, the recorder share.",
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
