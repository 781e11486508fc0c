# SPDX-License-Identifier: Apache-2.0
"""Capture to map through the nodes over DDS, on a short rendered drive; needs ROS 2."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mapkd_core.demo import drive, nodes

_KEPT = ("frames_in", "frames_out", "frames_out_over_in", "rate_hz", "replay_speed", "latency_ms", "stages_ms")


def run(weights: Path | None, seconds: float, width: int, height: int) -> dict[str, Any]:
    """JSON-ready. Rendering takes most of the time. Raises NodesFailedError where a node fails."""
    with tempfile.TemporaryDirectory(prefix="mapkd-latency-") as folder:
        bag = Path(folder) / "drive.mcap"
        drive.ensure(bag, drive.DemoDrive(seconds=seconds, width=width, height=height))
        metrics = nodes.play_all(bag, seconds, Path(folder), weights)
    result = {name: metrics[name] for name in _KEPT} | {"picture": [width, height]}
    return result | ({"at_full_speed": metrics["at_full_speed"]} if "at_full_speed" in metrics else {})
