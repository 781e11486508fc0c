# SPDX-License-Identifier: Apache-2.0
"""Moment: what a camera needs to know of the drive when it exposes: its own motion, and who is around."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import drive
from mapkd_core.worlds.road_map import RoadMap

_STEP_S = 0.05


@dataclass(frozen=True)
class Moment:
    """time_s: of the drive's clock. velocity: of the ego origin, 3, map frame, m/s. yaw_rate: rad/s, left positive.

    boxes: road users; speeds: theirs in m/s, one each, NaN for those that never move (parked).
    """

    time_s: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw_rate: float = 0.0
    boxes: tuple[drive.Box, ...] = ()
    speeds: tuple[float, ...] = ()

    @cached_property
    def vehicles(self) -> NDArray[np.float64]:
        """N x 7: x, y, yaw, length, width, height and speed of the boxes that are vehicles."""
        rows = [
            (b.x, b.y, b.yaw, b.length, b.width, b.height, v)
            for b, v in zip(self.boxes, self.speeds, strict=True)
            if b.kind == "VEHICLE"
        ]
        return np.array(rows).reshape(-1, 7)


STANDING = Moment()


def moment_at(road_map: RoadMap, time_s: float, boxes: list[drive.Box]) -> Moment:
    """boxes: as `drive.boxes_at` gives them for this instant, or none."""
    first, last = road_map.ego[0, 0], road_map.ego[-1, 0]
    before, after = max(time_s - _STEP_S, first), min(time_s + _STEP_S, last)
    if after - before < 1e-6:  # before the drive or after it the vehicle stands
        return Moment(time_s, boxes=tuple(boxes), speeds=_speeds(road_map, time_s, boxes))
    a, b = drive.pose_at(road_map, before), drive.pose_at(road_map, after)
    velocity = (b[:3, 3] - a[:3, 3]) / (after - before)
    turn = a[:3, :3].T @ b[:3, :3]
    yaw_rate = float(np.arctan2(turn[1, 0], turn[0, 0])) / (after - before)
    speeds = _speeds(road_map, time_s, boxes)
    return Moment(time_s, (float(velocity[0]), float(velocity[1]), float(velocity[2])), yaw_rate, tuple(boxes), speeds)


def _speeds(road_map: RoadMap, time_s: float, boxes: list[drive.Box]) -> tuple[float, ...]:
    if not boxes:
        return ()
    table, begins = road_map.agent_poses
    agents = drive.present(road_map, time_s)
    first, last = begins[:-1][agents], begins[1:][agents] - 1
    passed = np.add.reduceat((table[:, 0] <= time_s).astype(int), begins[:-1])[agents]
    after = np.clip(first + passed, np.minimum(first + 1, last), last)
    step = table[after, :3] - table[np.maximum(after - 1, first), :3]
    speed = np.hypot(step[:, 1], step[:, 2]) / np.maximum(step[:, 0], 1e-6)
    return tuple(np.where(last > first, speed, np.nan).tolist())
