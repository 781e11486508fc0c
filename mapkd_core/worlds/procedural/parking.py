# SPDX-License-Identifier: Apache-2.0
"""Vehicles that stand at the kerb, in bays and in driveways."""

from __future__ import annotations

import numpy as np

from mapkd_core.worlds.procedural.road import Road
from mapkd_core.worlds.procedural.road_users import still, vehicle
from mapkd_core.worlds.procedural.section import Bump
from mapkd_core.worlds.road_map import Agent


def parked(road: Road, rng: np.random.Generator) -> list[Agent]:
    agents = []
    for bump in road.bumps:
        if bump.use in ("parking", "lot", "bay"):
            agents += _in_bump(road, bump, rng)
    if road.level > 0 and not road.section.centre_line and rng.random() < 0.6:
        for side in (1, -1):
            full = Bump(side, road.outline_start + 8, min(road.length, road.outline_stop) - 4, (0, 0), 0.0, "parking")
            agents += _in_bump(road, full, rng, rng.uniform(0.05, 0.4))
    return agents


def in_driveway(road: Road, rng: np.random.Generator) -> list[Agent]:
    if rng.random() > 0.35 or road.length < 12:
        return []
    s = road.length - rng.uniform(2.5, 5)
    return [vehicle(rng, still(road.curve.at(s), float(road.curve.heading_at(s)) + rng.choice([0, np.pi])), "car")]


def _in_bump(road: Road, bump: Bump, rng: np.random.Generator, share: float | None = None) -> list[Agent]:
    """Vehicles in the slots of one parking stretch: along the kerb, or at right angles to it in a "lot"."""
    share = rng.uniform(0.2, 0.95) if share is None else share
    across = bump.use == "lot"
    slot = 2.6 if across else 6.0
    agents = []
    for s in np.arange(bump.start + bump.tapers[0] + slot / 2, bump.stop - bump.tapers[1] - slot / 2, slot):
        clear = all(abs(m.s - s) > m.core + 3 for m in road.meetings if bump.side in m.sides or not m.minor)
        if not clear or rng.random() > share:
            continue
        kind = "bus" if bump.use == "bay" and rng.random() < 0.5 else ("car" if rng.random() < 0.8 else "van")
        depth = 2.8 if across else 1.15
        place = road.curve.at(s + rng.normal(0, 0.15), road.kerb(bump.side, s) - bump.side * depth)
        yaw = float(road.curve.heading_at(s)) + (np.pi / 2 if across else 0.0)
        yaw += np.pi if (rng.random() < 0.5 if across else bump.side > 0) else 0.0
        agents.append(vehicle(rng, still(place, yaw + rng.normal(0, 0.02)), kind))
        if bump.use == "bay":
            break
    return agents
