# SPDX-License-Identifier: Apache-2.0
"""Capture to map through the nodes over DDS, on a short drive, rendered or of recorded pictures; needs ROS 2."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bench.recorded import jpegs, repeat
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.demo import drive, nodes

_KEPT = ("frames_in", "frames_out", "frames_out_over_in", "rate_hz", "replay_speed", "latency_ms", "stages_ms")


def run(
    weights: Path | None, seconds: float, width: int, height: int, recorded: FrameFolder | None = None
) -> dict[str, Any]:
    """JSON-ready. Rendering takes most of the time. Raises NodesFailedError where a node fails.

    recorded: its pictures, at their own size and as they were compressed, and nothing is rendered. Raises ValueError
    for those that `recorded.jpegs` refuses.
    """
    files = [] if recorded is None else jpegs(recorded)
    with tempfile.TemporaryDirectory(prefix="mapkd-latency-") as folder:
        bag = Path(folder) / "drive.mcap"
        if recorded is None:
            drive.ensure(bag, drive.DemoDrive(seconds=seconds, width=width, height=height))
        else:
            width, height = recorded.frame.cameras[0].width, recorded.frame.cameras[0].height
            repeat(recorded, bag, seconds)
        metrics = nodes.play_all(bag, seconds, Path(folder), weights)
    result = {name: metrics[name] for name in _KEPT} | {"picture": [width, height]}
    if files:
        result["jpeg_bytes"] = int(np.mean([len(file) for file in files]))
    return result | ({"at_full_speed": metrics["at_full_speed"]} if "at_full_speed" in metrics else {})
