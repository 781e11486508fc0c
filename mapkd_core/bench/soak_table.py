# SPDX-License-Identifier: Apache-2.0
"""Results of `python -m mapkd_ros.soak` as Markdown."""

from __future__ import annotations

from statistics import median
from typing import Any

from mapkd_core.evaluation.report import table


def markdown(results: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each run, file name -> JSON."""
    rows, machines = [], []
    for result in results.values():
        first, last = _fifths(result["windows"])
        rows.append(
            [
                result["predictor"], f"{result['frames']:,}", str(result["lost"]),
                f"{first['rss_mb']:.0f} -> {last['rss_mb']:.0f} MB", f"{100 * result['rss_growth']:+.1f} %",
                f"{first['p50_ms']:.1f} -> {last['p50_ms']:.1f} ms", f"{100 * result['latency_drift']:+.1f} %",
            ]
        )  # fmt: skip
        where = result["machine"]
        machines.append(f"{result['predictor']}: {where['processor']}, {where['cores']} cores, load {where['load']}")
    head = ["predictor", "frames", "lost", "memory", "growth", "latency p50", "drift"]
    return [
        *table(head, rows), "",
        f"Growth and drift: the last fifth over the fifth after warm-up, medians. {'; '.join(machines)}.",
    ]  # fmt: skip


def _fifths(windows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Medians of the fifth after warm-up and of the last: what growth and drift are of."""
    fifth = max(len(windows) // 5, 1)
    return [
        {key: median(window[key] for window in part) for key in ("rss_mb", "p50_ms")}
        for part in (windows[fifth : 2 * fifth], windows[-fifth:])
    ]
