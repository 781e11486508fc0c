# SPDX-License-Identifier: Apache-2.0
"""Pedestrians on pavements and crossings, and what road workers leave behind."""

from __future__ import annotations

import numpy as np

from mapkd_core.worlds.procedural.road import Road
from mapkd_core.worlds.procedural.road_users import person, pose_times, still
from mapkd_core.worlds.procedural.style import Style
from mapkd_core.worlds.road_map import Agent, Line


def people(road: Road, style: Style, rng: np.random.Generator) -> list[Agent]:
    """Pedestrians on the pavements, walking or standing."""
    agents = []
    times = pose_times()
    for _ in range(rng.poisson(style.people * road.length / 100 * 0.5)):
        side, start = int(rng.choice([-1, 1])), rng.uniform(0, road.length)
        speed = 0.0 if rng.random() < 0.25 else rng.normal(0, 1.0) + rng.choice([-1, 1]) * 0.9
        s = np.clip(start + speed * times, 0, road.length)
        d = road.kerb(side, s) + side * rng.uniform(0.7, 3.5)
        yaw = road.curve.heading_at(s) + (0.0 if speed > 0 else np.pi)
        agents.append(person(rng, np.column_stack([times, road.curve.at(s, d), yaw])))
    return agents


def on_crossing(ring: Line, style: Style, rng: np.random.Generator) -> list[Agent]:
    """People who walk over a crossing from kerb to kerb; ring corners 0 1 lie on one kerb, 2 3 on the other."""
    agents = []
    times = pose_times()
    for _ in range(rng.poisson(0.25 * style.people)):
        share = rng.uniform(0.2, 0.8)
        a, b = ring[0] + share * (ring[1] - ring[0]), ring[3] + share * (ring[2] - ring[3])
        if rng.random() < 0.5:
            a, b = b, a
        length = float(np.hypot(*(b - a)))
        along = np.clip(rng.uniform(-20, length) + rng.uniform(0.9, 1.6) * times, 0, length) / length
        yaw = np.arctan2(*(b - a)[::-1])
        xy = a + along[:, None] * (b - a)
        agents.append(person(rng, np.column_stack([times, xy, np.full(len(times), yaw)])))
    return agents


def works(road: Road, rng: np.random.Generator) -> list[Agent]:
    """Now and then a row of cones, or of barriers, along the kerb."""
    if rng.random() > 0.12:
        return []
    side, start = int(rng.choice([-1, 1])), rng.uniform(0, road.length * 0.8)
    cones = rng.random() < 0.6
    s = np.minimum(start + np.arange(int(rng.integers(4, 12))) * (3.0 if cones else 2.3), road.length)
    d = road.kerb(side, s) - side * rng.uniform(0.3, 2.0)
    agents = []
    for place, yaw in zip(road.curve.at(s, d), road.curve.heading_at(s), strict=True):
        if cones:
            agents.append(Agent("TRAFFIC_CONE", 0.42, 0.42, float(rng.uniform(0.6, 1.0)), still(place, float(yaw))))
        else:
            agents.append(Agent("TRAFFIC_BARRIER", 0.5, 2.1, 1.0, still(place, float(yaw) + np.pi / 2)))
    return agents
