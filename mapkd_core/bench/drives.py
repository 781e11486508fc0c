# SPDX-License-Identifier: Apache-2.0
"""Rendered drives, frame by frame with truth and an odometry that is wrong in scale: for what remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core import geometry
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.types import Frame, MapElement
from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.truth import local_elements


class DriveFrame(NamedTuple):
    """odom_T_ego: as the odometry says. truth: in the ego frame, where the vehicle really is."""

    scene: str
    frame: Frame
    odom_T_ego: NDArray[np.float64]
    truth: tuple[MapElement, ...]


def drive_frames(
    config: ModelConfig, seed: int, frames: int, step_s: float = 0.2, scale: float = 1.0
) -> Iterator[DriveFrame]:
    """Pictures of the network's size. scale: of the odometry's steps, 1 = right. Ends where the road does."""
    cv2.setNumThreads(1)
    road_map = procedural.make_road_map(seed)
    renderer = Renderer(road_map, seed)
    cameras = [model_camera(camera, config) for camera in rig.nuscenes_rig()]
    start_s = float(road_map.ego[0, 0])
    before, odom = None, np.eye(4)
    for number in range(min(frames, int(drive.duration(road_map) / step_s))):
        time_s = start_s + number * step_s
        map_T_ego = drive.pose_at(road_map, time_s)
        if before is not None:
            moved = geometry.inverse(before) @ map_T_ego
            moved[:2, 3] *= scale
            odom = odom @ moved
        before = map_T_ego
        frame = replace(renderer.frame(time_s, cameras), stamp_ns=round(number * step_s * 1e9))
        yield DriveFrame(road_map.name, frame, odom.copy(), local_elements(road_map, map_T_ego, config.grid))
