# SPDX-License-Identifier: Apache-2.0
"""The ratios to watch from one version to the next: they carry over to other machines, milliseconds do not.

The student against a network of HDMapNet's shape, against the roofline of this very run, and the node against the bare
forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapkd_core.bench import overhead, speed

SCHEMA = 1


def run(
    weights: Path | None = None, repeats: int = 10, threads: int | None = None, node: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Measure; JSON-ready. node: what `latency.run` gives, or {"error": why there is none}."""
    measured = speed.run(weights, repeats, threads, stages=False)
    return {"schema": SCHEMA, "ratios": ratios(measured, node or {}), "speed": measured, "node": dict(node or {})}


def ratios(measured: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, float | None]:
    """From the result of `speed.run` and of `latency.run`; None for what was not measured.

    hdmapnet_over_student: times as long, the student as the node runs it; _eager: both in PyTorch; _operations:
    counted. mapkd_over_student: of MapKD's student's shape. share_of_roofline: least time for the student's operations
    and bytes over its time, 0..1, both in single precision.
    node_overhead: the node's work other than the network over the network's time there, by their medians.
    node_network_over_bare, node_over_bare: the network's time inside the node, and all of the node's work, over that of
    the same network alone.
    """
    forward, networks = measured["forward_ms"], measured["networks"]
    fastest = forward.get(speed.FASTEST, forward[speed.EAGER])
    bare_ms, stages = forward[speed.NODE]["median"], node.get("stages_ms", {})
    network = overhead.network(stages)
    return {
        "hdmapnet_over_student": measured["ratios"]["node"],
        "mapkd_over_student": measured["ratios"]["mapkd_node"],
        "hdmapnet_over_student_eager": measured["ratios"]["eager"],
        "hdmapnet_over_student_operations": _round(networks["hdmapnet_shape"]["gflop"], networks["student"]["gflop"]),
        "share_of_roofline": fastest["share_of_floor"],
        "node_overhead": overhead.over_own_network(stages),
        "node_network_over_bare": _round(network, bare_ms) if network else None,
        "node_over_bare": overhead.over_bare_network(stages, bare_ms),
    }


def text(result: Mapping[str, Any]) -> str:
    """A line for each ratio, and the reason where the node was not measured."""
    lines = [f"{name:<36}{'not measured' if v is None else f'{v:g}':>14}" for name, v in result["ratios"].items()]
    return "\n".join([*lines, *([f"node: {result['node']['error']}"] if "error" in result["node"] else [])])


def _round(above: float, below: float) -> float:
    return round(above / below, 3)
