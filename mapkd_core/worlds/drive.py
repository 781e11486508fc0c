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
    table, begins = road_map.agent_poses
    if not len(table):
        return []
    first, last = begins[:-1], begins[1:] - 1
    times = table[:, 0]
    # Rows of one agent are sorted by time: counting those not later than now gives its row before now.
    passed = np.add.reduceat((times <= time_s).astype(int), first)
    before = np.clip(first + passed - 1, first, last)
    after = np.minimum(before + 1, last)
    poses = _between(table[before], table[after], time_s)
    index = present(road_map, time_s)
    agents = [road_map.agents[i] for i in index.tolist()]
    places = poses[index].tolist()
    return [Box(a.kind, a.length, a.width, a.height, *place) for a, place in zip(agents, places, strict=True)]


def present(road_map: RoadMap, time_s: float) -> NDArray[np.int64]:
    """Indices into `road_map.agents` of those that are there at `time_s`: whose boxes `boxes_at` gives."""
    table, begins = road_map.agent_poses
    first, last = begins[:-1], begins[1:] - 1
    if not len(first):
        return np.zeros(0, np.int64)
    times = table[:, 0]
    there = (last == first) | ((times[first] - 1e-6 <= time_s) & (time_s <= times[last] + 1e-6))
    return np.flatnonzero(there)


def _interpolated(poses: NDArray[np.float64], time_s: float) -> list[float]:
    """x, y, yaw between the two poses around `time_s`."""
    before = int(np.clip(np.searchsorted(poses[:, 0], time_s, side="right") - 1, 0, len(poses) - 1))
    after = min(before + 1, len(poses) - 1)
    return _between(poses[before : before + 1], poses[after : after + 1], time_s)[0].tolist()


def _between(a: NDArray[np.float64], b: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
    """N x 3 x y yaw at `time_s` between rows a and b (N x 4, the same row where only one is), yaw the short way."""
    span = b[:, 0] - a[:, 0]
    share = np.clip((time_s - a[:, 0]) / np.where(span > 0, span, 1.0), 0.0, 1.0) * (span > 0)
    change = b[:, 1:] - a[:, 1:]
    change[:, 2] = (change[:, 2] + np.pi) % (2 * np.pi) - np.pi
    return a[:, 1:] + share[:, None] * change
