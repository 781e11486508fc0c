# SPDX-License-Identifier: Apache-2.0
"""Nobody drives through anybody: accept road users one after the other while they keep clear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.route import DURATION_S, Drive
from mapkd_core.worlds.road_map import Agent

EGO_LENGTH_M, EGO_WIDTH_M, EGO_CENTRE_M = 4.1, 1.75, 1.4  # box centre ahead of the rear axle
CHECK_STEP_S = 0.25
DISCS = 4
NEAR_M = 20.0  # middles of boxes farther apart never touch


def without_overlap(agents: list[Agent], drive: Drive) -> tuple[Agent, ...]:
    """Those that keep clear of the ego vehicle and of everybody accepted before; each box stands as four discs.

    People only keep clear of the ego vehicle: they step aside, and there are too many to ask.
    """
    times = np.arange(round(DURATION_S / CHECK_STEP_S) + 1, dtype=np.float64) * CHECK_STEP_S
    ego = drive.ego
    poses = np.column_stack([times, *(np.interp(times, ego[:, 0], ego[:, i]) for i in (1, 2, 3))])
    poses[:, 1:3] += EGO_CENTRE_M * np.stack([np.cos(poses[:, 3]), np.sin(poses[:, 3])], 1)
    ego_alone, standing, moving = _Crowd(1, len(times)), _Crowd(len(agents), 1), _Crowd(len(agents), len(times))
    ego_alone.add(_discs(poses, EGO_LENGTH_M + 1.0, EGO_WIDTH_M + 0.8), EGO_WIDTH_M / 2 + 0.4)
    kept = []
    for agent in agents:
        discs = _discs(_sampled(agent, times), agent.length, agent.width)
        crowds = (ego_alone,) if agent.kind == "PEDESTRIAN" else (ego_alone, standing, moving)
        if any(crowd.touches(discs, agent.width / 2) for crowd in crowds):
            continue
        kept.append(agent)
        if agent.kind != "PEDESTRIAN":
            (standing if len(discs) == 1 else moving).add(discs, agent.width / 2)
    return tuple(kept)


class _Crowd:
    """Accepted road users as discs over `steps` instants (1 for those that never move)."""

    def __init__(self, capacity: int, steps: int) -> None:
        self._discs = np.empty((capacity, steps, DISCS, 2))
        self._radii = np.empty(capacity)
        self._count = 0

    def add(self, discs: NDArray[np.float64], radius: float) -> None:
        self._discs[self._count], self._radii[self._count] = discs, radius
        self._count += 1

    def touches(self, discs: NDArray[np.float64], radius: float) -> bool:
        """Whether `discs` (T or 1, DISCS, 2) come closer to anybody than the radii allow."""
        offsets = self._discs[: self._count, :, 0] - discs[None, :, 0]
        near = np.flatnonzero(np.any(np.einsum("...i,...i", offsets, offsets) < NEAR_M**2, axis=1))
        if not len(near):
            return False
        gaps = self._discs[near][:, :, :, None] - discs[None, :, None]
        reach = (self._radii[near] + radius)[:, None, None, None]
        return bool(np.any(np.einsum("...i,...i", gaps, gaps) < reach**2))


def _sampled(agent: Agent, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses at `times`, NaN while the agent is not there; a single row for one that stands."""
    poses = agent.poses
    if len(poses) == 1:
        return poses
    sampled = np.column_stack([times, *(np.interp(times, poses[:, 0], poses[:, i]) for i in (1, 2, 3))])
    sampled[(times < poses[0, 0]) | (times > poses[-1, 0])] = np.nan
    return sampled


def _discs(poses: NDArray[np.float64], length: float, width: float) -> NDArray[np.float64]:
    """T DISCS 2: centres of discs of the box's width along it."""
    half = max(length - width, 0.0) / 2
    along = np.stack([np.cos(poses[:, 3]), np.sin(poses[:, 3])], 1)
    return poses[:, None, 1:3] + along[:, None] * np.linspace(-half, half, DISCS)[None, :, None]
