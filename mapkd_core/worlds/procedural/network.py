# SPDX-License-Identifier: Apache-2.0
"""Lay out the roads of a district: one main road, streets that leave, cross or join it, driveways."""

from __future__ import annotations

import numpy as np
import shapely

from mapkd_core.worlds.procedural.curve import (
    Curve,
    acute,
    direction,
    extended,
    from_curvature,
    joined,
    random_curvature,
)
from mapkd_core.worlds.procedural.driveways import MAX_LEVEL, add_driveways
from mapkd_core.worlds.procedural.road import Meeting, Road
from mapkd_core.worlds.procedural.section import Section, main_section, street_section
from mapkd_core.worlds.procedural.style import Style

MIN_GAP_M = 5.0  # between the kerbs of roads that do not meet
MIN_NODE_GAP_M = 30.0
MAX_ROADS = 26


def lay_out(style: Style, rng: np.random.Generator) -> list[Road]:
    """Roads of one district, the main road first; junctions are in their `meetings`."""
    forward, backward = style.main_lanes
    main = Road(_main_curve(style, rng), main_section(style, rng, forward, backward), 0)
    roads = [main]
    for road in roads:  # grows while it is walked
        if road.level < MAX_LEVEL:
            _add_streets(road, roads, style, rng)
    for road in list(roads):
        add_driveways(road, roads, style, rng)
    return roads


def _main_curve(style: Style, rng: np.random.Generator) -> Curve:
    length = rng.uniform(460, 620)
    radius = max(style.min_radius, 14.0 + 5.0 * sum(style.main_lanes))
    bend = 0.3 * style.bend
    for _ in range(20):
        curve = from_curvature((0, 0), 0.0, random_curvature(rng, length, style.straight, radius, bend))
        far = shapely.LineString(curve.xy[::6])
        if far.is_simple and np.ptp(curve.heading) < 2.5:
            return curve
    return from_curvature((0, 0), 0.0, np.zeros(int(length)))


def _add_streets(road: Road, roads: list[Road], style: Style, rng: np.random.Generator) -> None:
    s = rng.uniform(20, style.spacing[1] * 0.7) if road.level == 0 else rng.uniform(*style.spacing)
    while s < road.length - 25 and len(roads) < MAX_ROADS:
        if all(abs(m.s - s) > MIN_NODE_GAP_M for m in road.meetings):
            crosses = rng.random() < style.cross_share
            side = int(rng.choice([-1, 1]))
            _add_street(road, s, (side, -side) if crosses else (side,), roads, style, rng)
        s += rng.uniform(*style.spacing)


def _add_street(
    road: Road, s: float, sides: tuple[int, ...], roads: list[Road], style: Style, rng: np.random.Generator
) -> None:
    """A street that starts on `road` at s, or passes through it when it has two sides; dropped where it has no room."""
    section = street_section(style, rng)
    angle = np.pi / 2 + rng.uniform(-style.skew, style.skew)
    halves: list[Curve] = []
    ends: list[tuple[Road, float] | None] = []
    for side in sides:
        heading = float(road.curve.heading_at(s)) + sides[0] * angle + (0.0 if side == sides[0] else np.pi)
        length = rng.uniform(60, 220) if road.level == 0 else rng.uniform(30, 130)
        radius = max(style.min_radius * 0.8, section.left - section.right + 4)
        curvature = random_curvature(rng, length, max(style.straight, 0.4), radius, style.bend)
        curvature[:20] = 0.0
        half, end = _room_for(from_curvature(road.curve.at(s), heading, curvature), road, section, roads)
        halves.append(half)
        ends.append(end)
    need = road.half_width() + 15
    keep = [i for i, half in enumerate(halves) if half.length > need]
    if not keep:
        return
    if len(keep) == 2:
        curve, own_s = joined(halves[1], halves[0])
        street = Road(curve, section, road.level + 1)
    else:
        curve, own_s = halves[keep[0]], 0.0
        street = Road(curve, section, road.level + 1, outline_start=road.inset(sides[keep[0]]))
    kept = tuple(sides[i] for i in keep)
    road.meetings.append(Meeting(s, street, own_s, kept, acute(angle), leads=True))
    street.meetings.append(Meeting(own_s, road, s, (1, -1), acute(angle)))
    roads.append(street)
    for i in keep:
        if (end := ends[i]) is not None:
            _join(street, 0.0 if len(keep) == 2 and i == 1 else street.length, *end)


def _room_for(
    curve: Curve, parent: Road, section: Section, roads: list[Road]
) -> tuple[Curve, tuple[Road, float] | None]:
    """The part of `curve` that keeps clear of other roads, and the road it runs into, if it can meet it properly.

    Without any room the part is a metre long.
    """
    half = max(section.left, -section.right)
    points = shapely.points(curve.xy)
    start = int(parent.half_width() + 12)
    if len(points) <= start + 5:
        return curve.until(1.0), None
    first, hit = len(points), None
    for road in roads:
        clearance = shapely.distance(points[start:], road.axis)
        close = np.flatnonzero(clearance < road.half_width() + half + MIN_GAP_M)
        if len(close) and start + close[0] < first:
            first, hit = start + int(close[0]), road
    if hit is None:
        return curve, None
    if hit is not parent:
        longer = curve.until(float(curve.s[first]))
        tail = longer.at(longer.length) + np.outer([0.0, 60.0], direction(longer.heading[-1]))
        crossing = shapely.LineString(tail).intersection(shapely.LineString(hit.curve.xy))
        if crossing.geom_type == "Point":
            s = float(shapely.LineString(hit.curve.xy).project(crossing))
            turn = abs(np.sin(longer.heading[-1] - float(hit.curve.heading_at(s))))
            free = all(abs(m.s - s) > MIN_NODE_GAP_M for m in hit.meetings)
            if turn > 0.8 and free and 25 < s < hit.length - 25:
                return extended(longer, float(shapely.Point(tail[0]).distance(crossing))), (hit, s)
    safe = float(curve.s[first]) - 2.0
    return curve.until(safe if safe > start + 5 else 1.0), None


def _join(street: Road, own_s: float, hit: Road, s: float) -> None:
    """Let the end of `street` at own_s meet `hit` at s."""
    outward = 1 if own_s > 0 else -1
    towards = street.curve.at(np.clip(own_s - outward * 10, 0, street.length)) - hit.curve.at(s)
    side = 1 if float(towards @ direction(float(hit.curve.heading_at(s)) + np.pi / 2)) > 0 else -1
    angle = acute(float(street.curve.heading_at(own_s) - hit.curve.heading_at(s)))
    hit.meetings.append(Meeting(s, street, own_s, (side,), angle, leads=True))
    street.meetings.append(Meeting(own_s, hit, s, (1, -1), angle))
    inset = hit.inset(side)
    if outward > 0:
        street.outline_stop = street.length - inset
    else:
        street.outline_start = inset
