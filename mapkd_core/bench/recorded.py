# SPDX-License-Identifier: Apache-2.0
"""A recorded frame as something to measure on: the JPEGs that a vehicle's cameras wrote, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mapkd_core.bags.write import BagWriter
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.geometry import planar
from mapkd_core.worlds.rig import nuscenes_rig

RATE_HZ, SPEED_M_S = 12.0, 8.0  # of the drive


def jpegs(folder: FrameFolder) -> list[bytes]:
    """The files of the cameras in their order.

    Raises ValueError for other cameras than nuScenes', which the nodes listen to unless told, and for other files.
    """
    cameras, wanted = folder.frame.cameras, {camera.name for camera in nuscenes_rig()}
    if {camera.name for camera in cameras} != wanted:
        found = ", ".join(camera.name for camera in cameras)
        raise ValueError(f"{folder.name} has the cameras {found}; measured is with {', '.join(sorted(wanted))}")
    if other := [c.name for c in cameras if not folder.encoded[c.name].startswith(b"\xff\xd8")]:
        raise ValueError(f"{folder.name}: {other[0]} is no JPEG; a camera's stream is measured as JPEGs")
    return [folder.encoded[camera.name] for camera in cameras]


def repeat(folder: FrameFolder, bag: Path, seconds: float, rate_hz: float = RATE_HZ) -> None:
    """One frame again and again at `rate_hz` from a vehicle that goes straight on: bytes and motion as on a road.

    Each camera is where the vehicle had it at its own capture time. What is on the pictures does not move, and the
    truth is that of the one frame: for times, not for scores.
    """
    frame, mounted = replace(folder.frame, points=None), {camera.name: camera for camera in folder.rig}
    start = np.eye(4) if frame.odom_T_ego is None else frame.odom_T_ego
    cameras = []
    for camera in frame.cameras:
        stamp_ns = camera.stamp_ns or frame.stamp_ns
        moved = planar(1e-9 * (stamp_ns - frame.stamp_ns) * SPEED_M_S, 0.0, 0.0)
        ego_T_camera = moved @ mounted.get(camera.name, camera).ego_T_camera
        cameras.append(replace(camera, stamp_ns=stamp_ns, ego_T_camera=ego_T_camera))
    with BagWriter(bag, rig=folder.rig, labelled=folder.labelled) as writer:
        for turn in range(max(1, round(seconds * rate_hz))):
            later_ns = round(turn * 1e9 / rate_hz)
            later = tuple(replace(camera, stamp_ns=camera.stamp_ns + later_ns) for camera in cameras)
            pose = start @ planar(turn * SPEED_M_S / rate_hz, 0.0, 0.0)
            shown = replace(frame, stamp_ns=frame.stamp_ns + later_ns, cameras=later, odom_T_ego=pose)
            writer.add(shown, folder.elements, encoded=folder.encoded)
