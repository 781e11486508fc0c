# SPDX-License-Identifier: Apache-2.0
"""The rendered twin of a real frame: the same place on the same road map, looked at by the same sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data import seeds
from mapkd_core.data.frame_folder import FrameFolder, read_frame_folder
from mapkd_core.geometry import planar
from mapkd_core.worlds import drive, road_map_file
from mapkd_core.worlds.appearance import Look, draw_look
from mapkd_core.worlds.lidar import Sweep
from mapkd_core.worlds.lidar.world import lidar_of_world
from mapkd_core.worlds.road_map import RoadMap

MAX_APART_M = 3.0


class Twin(NamedTuple):
    """real: the frame. road_map: of its place. map_T_ego: 4x4 planar pose of the frame. time_s: on its clock."""

    real: FrameFolder
    road_map: RoadMap
    map_T_ego: NDArray[np.float64]
    time_s: float


def read_twin(frame: Path, road_map: Path) -> Twin:
    """ValueError where the frame has no pose, or the drive of the road map does not pass it."""
    real, roads = read_frame_folder(frame), road_map_file.load(road_map)
    pose = real.frame.odom_T_ego
    if pose is None:
        raise ValueError(f"{frame}/frame.json has no ego2global; without it nobody knows where in {road_map} it is")
    apart = np.hypot(*(roads.ego[:, 1:3] - pose[:2, 3]).T)
    nearest = int(apart.argmin())
    if apart[nearest] > MAX_APART_M:
        raise ValueError(
            f"{frame} is {apart[nearest]:.0f} m away from the drive of {road_map}; give the road map of the same scene"
        )
    yaw = float(np.arctan2(pose[1, 0], pose[0, 0]))
    return Twin(real, roads, planar(pose[0, 3], pose[1, 3], yaw), float(roads.ego[nearest, 0]))


def dry_looks(count: int) -> list[tuple[int, Look]]:
    """Seeds and looks of daylight without rain, as the real frame has it, by rising seed."""
    if count < 1:
        raise ValueError(f"looks = {count}; must be at least 1")
    drawn = ((seed, draw_look(seed)) for seed in seeds.DEMO)
    dry = ((seed, look) for seed, look in drawn if look.light in ("sun", "overcast", "low_sun"))
    return [(seed, replace(look, wet=0.0)) for (seed, look), _ in zip(dry, range(count), strict=False)]


def sweeps(twin: Twin, looks: Sequence[tuple[int, Look]]) -> list[Sweep]:
    """One sweep of the twin per look, from the real frame's mounting; the vehicle stands at the frame's pose."""
    return [
        lidar_of_world(twin.road_map, seed, look, twin.real.ego_T_lidar).sweep(
            lambda _: twin.map_T_ego, lambda t: drive.boxes_at(twin.road_map, t), twin.time_s
        )
        for seed, look in looks
    ]


def mean(statistics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of every figure; empty lists are left out of it."""
    out: dict[str, Any] = {}
    for name in statistics[0]:
        values = [np.asarray(s[name], float) for s in statistics if np.size(s[name])]
        out[name] = np.mean(values, axis=0).tolist() if values else []
    return out
