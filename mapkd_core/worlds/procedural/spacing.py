# SPDX-License-Identifier: Apache-2.0
"""Nobody drives through anybody: accept road users one after the other while they keep clear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.road_users import pose_times
from mapkd_core.worlds.procedural.route import Drive
from mapkd_core.worlds.road_map import Agent

EGO_LENGTH_M, EGO_WIDTH_M, EGO_CENTRE_M = 4.1, 1.75, 1.4  # box centre ahead of the rear axle


def without_overlap(agents: list[Agent], drive: Drive) -> tuple[Agent, ...]:
    """Those that keep clear of the ego vehicle and of everybody accepted before; each box stands as four discs."""
    times = pose_times()
    ego = drive.ego
    ego_poses = np.column_stack([times, *(np.interp(times, ego[:, 0], ego[:, i]) for i in (1, 2, 3))])
    ego_poses[:, 1:3] += EGO_CENTRE_M * np.stack([np.cos(ego_poses[:, 3]), np.sin(ego_poses[:, 3])], 1)
    ego_box = Agent("EGO", EGO_LENGTH_M + 1.0, EGO_WIDTH_M + 0.8, 1.6, ego_poses)
    discs = np.empty((len(agents) + 1, len(times), 4, 2))
    radii = np.empty(len(agents) + 1)
    discs[0], radii[0], kept = _discs(ego_box, times), ego_box.width / 2, []
    for agent in agents:
        mine = _discs(agent, times)
        count = len(kept) + 1
        others = discs[:count]
        apart = np.hypot(*(others[:, :, 0] - mine[:, 0]).transpose(2, 0, 1))
        near = np.flatnonzero(np.any(apart < 20.0, axis=1))
        gaps = others[near][:, :, :, None] - mine[None, :, None]
        reach = (radii[near] + agent.width / 2)[:, None, None, None]
        if not np.any(np.einsum("...i,...i", gaps, gaps) < reach**2):
            discs[count], radii[count] = mine, agent.width / 2
            kept.append(agent)
    return tuple(kept)


def _discs(agent: Agent, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """T 4 2: centres of four discs of the box's width along it; NaN while it is not there."""
    poses = agent.poses
    if len(poses) == 1:
        poses = np.repeat(poses, len(times), 0)
        there = np.ones(len(times), bool)
    else:
        there = (times >= poses[0, 0]) & (times <= poses[-1, 0])
        poses = np.column_stack([times, *(np.interp(times, poses[:, 0], poses[:, i]) for i in (1, 2, 3))])
    half = max(agent.length - agent.width, 0.0) / 2
    along = np.stack([np.cos(poses[:, 3]), np.sin(poses[:, 3])], 1)
    centres = poses[:, None, 1:3] + along[:, None] * (np.linspace(-half, half, 4)[None, :, None])
    centres[~there] = np.nan
    return centres
