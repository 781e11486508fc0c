# SPDX-License-Identifier: Apache-2.0
"""The README's short form of docs/dependability.md, a line for each measurement that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mapkd_core.evaluation.report import percent

_Result = Mapping[str, Any]


def short_form(results: Mapping[str, _Result]) -> list[str]:
    """results: file name without its end -> JSON. What is not measured has no line."""
    rows = [f"| {what} | {say(results[name])} |" for name, what, say in _LINES if name in results]
    return ["| what happens | what was measured |", "|---|---|", *rows]


def _sync(result: _Result) -> str:
    rows = {row[0]: row for row in result["rows"]}
    one, other = rows["loss 5 %"], rows["loss 20 %"]
    return f"{one[1]} and {other[1]} of the maps go out (ApproximateTimeSynchronizer: {one[5]} and {other[5]})"


def _transport(result: _Result) -> str:
    defaults, profile = (row[2] for row in result["rows"][:2])
    return f"{profile} of the worst camera's frames arrive with the shipped profile, {defaults} with the defaults"


def _memory(result: _Result) -> str:
    whole, *lost = result["cameras"]
    alone, memory = (min(lost, key=lambda row: row[key]) for key in ("miou", "with_memory"))
    return (
        f"mIoU of the whole rig {percent(whole['miou'])}; the worst loss leaves {percent(alone['miou'])} frame by "
        f"frame ({alone['camera']}), {percent(memory['with_memory'])} with the node's memory ({memory['camera']}); "
        f"a whole rig that remembers always has {percent(whole['always'])}"
    )


def _cameras(result: _Result) -> str:
    count = len(result["resilience"])
    return (
        f"{percent(result['mean_resilience'])} % of the mIoU stays, mean over {count} corruptions of three severities"
    )


def _watches(result: _Result) -> str:
    rows = {row["fault"]: row for row in result["rows"]}
    swapped = [row["told"] for name, row in rows.items() if name.startswith("swapped")]
    turned = [row["told"] for name, row in rows.items() if "degrees" in name]
    return (
        f"swapped ones told on {percent(min(swapped))} % of the drives, mounts 3 degrees off on {percent(min(turned))} "
        f"to {percent(max(turned))} %; false alarms on {percent(rows['none']['others_told'])} %"
    )


def _faults(result: _Result) -> str:
    passed = sum(row[-1] == "passed" for row in result["rows"])
    return f"{passed} of {len(result['rows'])} survived as expected, across real processes"


def _soak(result: _Result) -> str:
    return (
        f"{result['frames']:,} frames: {result['lost']} lost, memory {100 * result['rss_growth']:+.1f} %, latency "
        f"{100 * result['latency_drift']:+.1f} %"
    )


def _fuzz(result: _Result) -> str:
    return f"{result['cases']:,} cases, {result['findings']} findings"


_LINES: tuple[tuple[str, str, Callable[[_Result], str]], ...] = (
    ("sync", "every camera loses 5 %, 20 % of its frames", _sync),
    ("transport", "six raw 1600 x 900 streams at 12 Hz", _transport),
    ("memory", "a camera dies while driving", _memory),
    ("cameras", "pictures blurred, dark, dirty, frozen, mounts turned", _cameras),
    ("watches", "cables swapped, mounts bent", _watches),
    ("faults", "nodes killed, clocks leaping, disks full, garbage", _faults),
    ("soak-stub", "a long run, a stub for the network", _soak),
    ("soak-network", "a long run with the network", _soak),
    ("fuzz", "hostile messages, bags, settings, weights", _fuzz),
)
