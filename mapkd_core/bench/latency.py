# SPDX-License-Identifier: Apache-2.0
"""Capture to map through the nodes over DDS, on a short drive, rendered or of recorded pictures; needs ROS 2."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bags.write import BagWriter
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.demo import drive, nodes
from mapkd_core.geometry import planar

RATE_HZ, SPEED_M_S = 12.0, 8.0  # of the drive of recorded pictures
_KEPT = ("frames_in", "frames_out", "frames_out_over_in", "rate_hz", "replay_speed", "latency_ms", "stages_ms")


def run(
    weights: Path | None, seconds: float, width: int, height: int, recorded: FrameFolder | None = None
) -> dict[str, Any]:
    """JSON-ready. Rendering takes most of the time. Raises NodesFailedError where a node fails.

    recorded: its pictures, at their own size and as they were compressed, instead of rendered ones.
    """
    with tempfile.TemporaryDirectory(prefix="mapkd-latency-") as folder:
        bag = Path(folder) / "drive.mcap"
        if recorded is None:
            drive.ensure(bag, drive.DemoDrive(seconds=seconds, width=width, height=height))
        else:
            width, height = recorded.frame.cameras[0].width, recorded.frame.cameras[0].height
            repeat(recorded, bag, seconds)
        metrics = nodes.play_all(bag, seconds, Path(folder), weights)
    result = {name: metrics[name] for name in _KEPT} | {"picture": [width, height]}
    if recorded is not None:
        result["jpeg_bytes"] = int(np.mean([len(file) for file in recorded.encoded.values()]))
    return result | ({"at_full_speed": metrics["at_full_speed"]} if "at_full_speed" in metrics else {})


def repeat(recorded: FrameFolder, bag: Path, seconds: float) -> None:
    """One recorded frame again and again from a vehicle that goes straight on: bytes and motion as on a road.

    What is on the pictures does not move, and the truth is that of the one frame: for times, not for scores.
    """
    frame = replace(recorded.frame, points=None)
    start = np.eye(4) if frame.odom_T_ego is None else frame.odom_T_ego
    with BagWriter(bag, rig=recorded.rig, labelled=recorded.labelled) as writer:
        for turn in range(max(1, round(seconds * RATE_HZ))):
            later_ns = round(turn * 1e9 / RATE_HZ)
            cameras = tuple(replace(c, stamp_ns=(c.stamp_ns or frame.stamp_ns) + later_ns) for c in frame.cameras)
            pose = start @ planar(turn * SPEED_M_S / RATE_HZ, 0.0, 0.0)
            moved = replace(frame, stamp_ns=frame.stamp_ns + later_ns, cameras=cameras, odom_T_ego=pose)
            writer.add(moved, recorded.elements, encoded=recorded.encoded)
