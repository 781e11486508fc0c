# SPDX-License-Identifier: Apache-2.0
"""Driveways: short roads that leave a street at about a right angle and stop in nothing."""

from __future__ import annotations

import numpy as np
import shapely

from mapkd_core.worlds.procedural.curve import acute, from_curvature
from mapkd_core.worlds.procedural.road import Meeting, Road
from mapkd_core.worlds.procedural.section import Section
from mapkd_core.worlds.procedural.style import Style

MAX_LEVEL = 2  # of streets; driveways are one above


def add_driveways(road: Road, roads: list[Road], style: Style, rng: np.random.Generator) -> None:
    """Append driveways on both sides of `road`, with their meetings, to `roads`."""
    s = rng.uniform(5, style.driveway_spacing)
    while s < road.length - 8:
        if all(abs(m.s - s) > (14 if m.minor else 24) for m in road.meetings):
            _add_driveway(road, s, int(rng.choice([-1, 1])), roads, rng)
        s += 8 + rng.exponential(style.driveway_spacing)


def _add_driveway(road: Road, s: float, side: int, roads: list[Road], rng: np.random.Generator) -> None:
    width = rng.uniform(3.2, 8.0)
    section = Section(1, 0, width, gutters=(0.0, 0.0), centre_line=False, lane_lines=False)
    angle = np.pi / 2 + rng.normal(0, 0.08)
    length = abs(road.kerb(side, s)) + 4 + rng.exponential(9.0)
    curve = from_curvature(road.curve.at(s), float(road.curve.heading_at(s)) + side * angle, np.zeros(int(length)))
    beyond = shapely.LineString(curve.at(np.array([abs(float(road.kerb(side, s))) + 2, curve.length])))
    for other in roads:
        if other is not road and beyond.distance(other.axis) < other.half_width() + width:
            return
    driveway = Road(curve, section, MAX_LEVEL + 1, outline_start=road.inset(side))
    driveway.meetings.append(Meeting(0.0, road, s, (1, -1), acute(angle), minor=True))
    road.meetings.append(Meeting(s, driveway, 0.0, (side,), acute(angle), leads=True, minor=True))
    roads.append(driveway)
