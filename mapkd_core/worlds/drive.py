# SPDX-License-Identifier: Apache-2.0
"""The drive of a road map at any instant: where the vehicle is, and the boxes of everybody else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core import geometry
from mapkd_core.worlds.road_map import RoadMap


class Box(NamedTuple):
    """One road user at one instant: metres and radians, x y yaw of the box centre in the map frame."""

    kind: str
    length: float
    width: float
    height: float
    x: float
    y: float
    yaw: float


def duration(road_map: RoadMap) -> float:
    """Seconds from the first to the last ego pose."""
    return float(road_map.ego[-1, 0] - road_map.ego[0, 0])


def pose_at(road_map: RoadMap, time_s: float) -> NDArray[np.float64]:
    """map_T_ego (4x4, planar) at a time of the drive's clock; before the start and after the end the vehicle stands."""
    return geometry.planar(*_interpolated(road_map.ego, time_s))


def boxes_at(road_map: RoadMap, time_s: float) -> list[Box]:
    """Boxes of all agents that are there at `time_s`, in the order of `road_map.agents`."""
    boxes = []
    for agent in road_map.agents:
        first, last = agent.poses[0, 0], agent.poses[-1, 0]
        if len(agent.poses) == 1 or first - 1e-6 <= time_s <= last + 1e-6:
            x, y, yaw = _interpolated(agent.poses, time_s)
            boxes.append(Box(agent.kind, agent.length, agent.width, agent.height, x, y, yaw))
    return boxes


def _interpolated(poses: NDArray[np.float64], time_s: float) -> tuple[float, float, float]:
    """x, y, yaw between the two poses around `time_s`; yaw the short way round."""
    times = poses[:, 0]
    after = int(np.clip(np.searchsorted(times, time_s, side="right"), 1, max(len(times) - 1, 1)))
    if len(times) == 1:
        return tuple(poses[0, 1:].tolist())
    a, b = poses[after - 1], poses[after]
    share = float(np.clip((time_s - a[0]) / (b[0] - a[0]), 0.0, 1.0))
    x, y = a[1:3] + share * (b[1:3] - a[1:3])
    turn = (b[3] - a[3] + np.pi) % (2 * np.pi) - np.pi
    return float(x), float(y), float(a[3] + share * turn)
