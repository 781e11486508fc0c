# SPDX-License-Identifier: Apache-2.0
"""Result of `python -m mapkd_ros.transport` as docs/dependability.md takes it. No ROS."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from mapkd_ros.host import host

_NAMES = {
    "none": "defaults",
    "shared_memory": "shipped profile (`--dds-profile shared_memory`)",
    "cyclonedds": "CycloneDDS, shipped profile",
}
_HEAD = ["middleware", "sent a camera", "delivered, worst camera", "lost, as counted", "latency p50", "p95"]


def result(profiles: Mapping[str, dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """head, rows and note, and every figure under `profiles`. options: width, height, rate and seconds of the run."""
    machine = host()
    cyclone = "" if "cyclonedds" in profiles else "; rmw_cyclonedds_cpp is not installed"
    note = (
        f"Six raw {options.width} x {options.height} streams at {options.rate:g} Hz between two processes, "
        f"{options.seconds:g} s each{cyclone}. Latency: from publishing to the callback, without decoding. "
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']} at the end."
    )
    rows = [[_NAMES.get(name, name), *_cells(found)] for name, found in profiles.items()]
    return {
        "command": "python -m mapkd_ros.transport", "head": _HEAD, "rows": rows, "note": note,
        "profiles": dict(profiles), "machine": machine,
    }  # fmt: skip


def _cells(found: Mapping[str, Any]) -> list[str]:
    if "error" in found:
        return [found["error"], "-", "-", "-", "-"]
    late = found["latency_ms"]
    return [
        str(found["sent"]), f"{100 * found['delivered_over_sent']:.1f} %", str(sum(found["lost"].values())),
        f"{late['p50']:.1f} ms", f"{late['p95']:.1f} ms",
    ]  # fmt: skip
