# SPDX-License-Identifier: Apache-2.0
"""Dividers, pedestrian crossings and lane centrelines of furnished roads."""

from __future__ import annotations

import itertools

import numpy as np
import shapely

from mapkd_core.worlds.procedural.road import Road
from mapkd_core.worlds.road_map import Line

KERB_GAP_M = 0.3  # a divider nearer to the kerb would be an edge line, which is no divider in nuScenes


def dividers(roads: list[Road], area: shapely.Geometry, rng: np.random.Generator) -> tuple[Line, ...]:
    """Lines between lanes and between directions, outside junctions, inside the drivable area."""
    lines = [
        road.curve.at(road.curve.stations(a, b, 2.0), d)
        for road in roads
        for d, side, start, stop in _divider_offsets(road)
        for a, b in _jittered(road.free_ranges(start, stop, side), rng)
    ]
    if not lines:
        return ()
    inside = shapely.intersection(_multi(lines), area.buffer(-KERB_GAP_M, quad_segs=2))
    parts = [part for part in shapely.get_parts(inside) if part.geom_type == "LineString" and part.length > 3.0]
    return tuple(shapely.get_coordinates(shapely.simplify(part, 0.02)) for part in parts)


def _multi(lines: list[Line]) -> shapely.MultiLineString:
    return shapely.multilinestrings([shapely.linestrings(line) for line in lines])


def _divider_offsets(road: Road) -> list[tuple[float, int, float, float]]:
    """(d, side, start, stop) of every divider before junctions interrupt it."""
    section, whole = road.section, (max(road.outline_start, 0.0), min(road.length, road.outline_stop))
    offsets: list[tuple[float, int, float, float]] = []
    if section.backward and section.centre_line:
        if section.median == 0:
            offsets.append((section.split, 0, *whole))
        elif not section.kerbed:
            offsets += [(section.split + sign * section.median / 2, sign, *whole) for sign in (1, -1)]
    if section.lane_lines:
        for direction in (1, -1):
            count = section.lanes(direction) - (0 if section.bike and section.lanes(direction) else 1)
            for lane in range(count):
                d = section.lane_d(direction, lane) - direction * section.lane_width / 2
                offsets.append((d, -direction, *whole))
    for bump in road.bumps:
        if bump.line:
            base = section.left if bump.side > 0 else section.right
            offsets.append((base, bump.side, bump.start + bump.tapers[0], bump.stop - bump.tapers[1]))
    offsets += [(d, 1 if d > section.split else -1, start, stop) for start, stop, d in road.lines]
    return offsets


def _jittered(ranges: list[tuple[float, float]], rng: np.random.Generator) -> list[tuple[float, float]]:
    """The ranges with ends that differ from line to line, now and then interrupted."""
    moved: list[tuple[float, float]] = []
    for a, b in ranges:
        start, stop = a + max(rng.normal(0, 0.5), 0), b - max(rng.normal(0, 0.5), 0)
        while stop - start > 15 and rng.random() < 0.45:
            pause = rng.uniform(start + 4, min(stop - 4, start + 50))
            moved.append((start, pause))
            start = pause + rng.uniform(0.8, 12)
        moved.append((start, stop))
    return [(a, b) for a, b in moved if b - a > 3]


def crossings(roads: list[Road], area: shapely.Geometry, rng: np.random.Generator) -> tuple[Line, ...]:
    """Quadrilaterals across the arms of junctions and between them, kerb to kerb."""
    rings: list[Line] = []
    for road in roads:
        for meeting in road.meetings:
            for arm, sign in ((0, -1), (1, 1)):
                if meeting.crossed[arm]:
                    near = meeting.s + sign * (meeting.core + rng.uniform(0, 0.3))
                    far = meeting.s + sign * (meeting.clear[arm] - 0.8)
                    rings.append(_crossing(road, min(near, far), max(near, far), rng))
        rings += [_crossing(road, a, b, rng) for a, b in road.midblock]
    kept: list[shapely.Polygon] = []
    for ring in rings:
        polygon = shapely.Polygon(ring)
        on_road = shapely.intersection(polygon, area).area / max(polygon.area, 1e-6)
        clash = any(shapely.intersection(polygon, other).area > 0.5 for other in kept)
        if polygon.is_simple and polygon.is_valid and on_road > 0.75 and not clash:
            kept.append(polygon)
    return tuple(shapely.get_coordinates(polygon.exterior)[:-1] for polygon in kept)


def _crossing(road: Road, start: float, stop: float, rng: np.random.Generator) -> Line:
    middle = (start + stop) / 2
    left, right = road.kerb(1, middle) + rng.normal(0, 0.25), road.kerb(-1, middle) + rng.normal(0, 0.25)
    skew = rng.normal(0, 0.5)
    s = np.array([start - skew, stop - skew, stop + skew, start + skew])
    return road.curve.at(s, np.array([left, left, right, right]))


def centrelines(roads: list[Road]) -> tuple[Line, ...]:
    """Lane centres between junctions, and straight on through them, in driving direction."""
    lines: list[Line] = []
    for road in roads:
        start, stop = road.outline_start, min(road.length, road.outline_stop)
        cuts = [m.s + sign * m.core for m in road.meetings if not m.minor for sign in (-1, 1)]
        edges = np.unique(np.clip([start, *cuts, stop], start, stop))
        for direction in (1, -1):
            for lane in range(road.section.lanes(direction)):
                d = road.section.lane_d(direction, lane)
                for a, b in itertools.pairwise(edges):
                    if b - a > 1.0:
                        lines.append(road.curve.at(road.curve.stations(a, b, 3.0), d)[::direction])
    return tuple(lines)
