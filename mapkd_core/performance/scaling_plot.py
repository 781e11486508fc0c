# SPDX-License-Identifier: Apache-2.0
"""The result of `scaling.run` as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapkd_core.drawing.figures import drawn
from mapkd_core.evaluation.report import table


def markdown(result: Mapping[str, Any]) -> list[str]:
    """A row for every case: what was changed, its operations, its time and frames a second."""
    head = ["changed", "to", "GFLOP", "p50", "p95", "frames a second"]
    rows = []
    for row in result["rows"]:
        ms = row["forward_ms"]
        frames = _frames(row)
        rows.append(
            [row["axis"], row["value"], f"{row['gflop']:.1f}", f"{ms['p50']:.0f} ms", f"{ms['p95']:.0f} ms",
             f"{1e3 * frames / ms['p50']:.0f}"]
        )  # fmt: skip
    return table(head, rows)


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Milliseconds and frames a second against GFLOP, a line for every axis. Raises ImportError without matplotlib."""
    with drawn(path, 10, 4.2) as figure:
        latency, throughput = figure.subplots(1, 2)
        for axis in dict.fromkeys(row["axis"] for row in result["rows"]):
            rows = sorted((r for r in result["rows"] if r["axis"] == axis), key=lambda r: r["gflop"])
            gflop, ms = [r["gflop"] for r in rows], [r["forward_ms"]["p50"] for r in rows]
            label = "batch (PyTorch)" if axis == "batch" else axis
            latency.plot(gflop, ms, "o-", label=label)
            throughput.plot(gflop, [1e3 * _frames(r) / t for r, t in zip(rows, ms, strict=True)], "o-", label=label)
        latency.set(xlabel="GFLOP a pass", ylabel="ms, median", xlim=(0, None), ylim=(0, None))
        throughput.set(xlabel="GFLOP a pass", ylabel="frames a second", xlim=(0, None), ylim=(0, None))
        latency.legend(frameon=False)
        for axes in (latency, throughput):
            axes.grid(color="0.92")


def _frames(row: Mapping[str, Any]) -> int:
    return int(row["value"].split()[0]) if row["axis"] == "batch" else 1
