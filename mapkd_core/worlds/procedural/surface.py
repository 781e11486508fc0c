# SPDX-License-Identifier: Apache-2.0
"""The asphalt: one polygon from all road outlines, with rounded corners, slip lanes and kerbed islands."""

from __future__ import annotations

import numpy as np
import shapely

from mapkd_core.worlds.procedural.lots import Lot
from mapkd_core.worlds.procedural.road import Meeting, Road, remaining
from mapkd_core.worlds.procedural.style import Style

MIN_ISLAND_M2 = 1.0
MIN_PATCH_M2 = 20.0
SLIVER_M = 0.2  # half of the narrowest


def pave(roads: list[Road], lots: list[Lot], style: Style, rng: np.random.Generator) -> shapely.Geometry:
    """Drivable area of all roads and car parks together."""
    area = shapely.union_all([*(outline(road) for road in roads), *(lot.area for lot in lots)])
    islands: list[shapely.Geometry] = []
    pieces = [area]
    for road in roads:
        for meeting in road.meetings:
            if meeting.leads:
                centre = shapely.Point(road.curve.at(meeting.s))
                piece, island = _corners(area, centre, meeting, style, rng)
                pieces.append(piece)
                islands += island
    circles, middles = _circles(roads, rng)
    area = shapely.union_all([*pieces, *circles])
    islands += [*middles, *(island for lot in lots for island in lot.islands)]
    islands += [island for road in roads for island in (*_medians(road), *_frontage_strips(road, rng))]
    area = shapely.difference(area, shapely.union_all(islands))
    return _without_specks(shapely.simplify(_without_slivers(area), 0.04))


def _without_slivers(area: shapely.Geometry) -> shapely.Geometry:
    """The area without spits of asphalt, and cracks in it, that are narrower than any kerb is built."""
    opened = area.buffer(-SLIVER_M, quad_segs=3).buffer(2 * SLIVER_M, quad_segs=3)
    return opened.buffer(-SLIVER_M, quad_segs=3)


def _without_specks(area: shapely.Geometry) -> shapely.MultiPolygon:
    """The area without the scraps and pinholes that set operations leave."""
    polygons = [part for part in shapely.get_parts(area) if part.area > MIN_PATCH_M2]
    return shapely.MultiPolygon(
        [
            shapely.Polygon(p.exterior, [hole for hole in p.interiors if shapely.Polygon(hole).area > MIN_ISLAND_M2])
            for p in polygons
        ]
    )


def outline(road: Road) -> shapely.Geometry:
    """The strip between the two kerbs of a road."""
    curve = road.curve
    stop = min(road.length, road.outline_stop)
    s = curve.stations(road.outline_start, stop)
    edges = [e for b in road.bumps for e in (b.start, b.start + b.tapers[0], b.stop - b.tapers[1], b.stop)]
    s = np.unique(np.concatenate([s, np.clip(edges, road.outline_start, stop)]))
    left, right = curve.at(s, road.kerb(1, s)), curve.at(s, road.kerb(-1, s))
    return shapely.make_valid(shapely.Polygon(np.vstack([left, right[::-1]])))


def strip(road: Road, s: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> shapely.Polygon:
    """The band lo..hi (d) along stations s."""
    return shapely.Polygon(np.vstack([road.curve.at(s, lo), road.curve.at(s, hi)[::-1]]))


def _corners(
    area: shapely.Geometry, centre: shapely.Point, meeting: Meeting, style: Style, rng: np.random.Generator
) -> tuple[shapely.Geometry, list[shapely.Geometry]]:
    """Asphalt that rounds the corners of one junction, and the islands of its slip lanes."""
    reach = meeting.core + 3 * meeting.radius + 6
    near = shapely.intersection(area, centre.buffer(reach, quad_segs=6))
    rounded = _closed(near, meeting.radius)
    islands: list[shapely.Geometry] = []
    if meeting.minor or rng.random() > style.slip_chance:
        return rounded, islands
    big = rng.uniform(12, 22)
    near = shapely.intersection(area, centre.buffer(meeting.core + 1.3 * big, quad_segs=8))
    wide = _closed(near, big)
    slip = rng.uniform(4.0, 5.5)
    cores = shapely.get_parts(shapely.difference(wide, near))
    for corner in sorted(cores, key=lambda c: -c.area)[: int(rng.integers(1, 3))]:
        island = shapely.intersection(corner, wide.buffer(-slip)).buffer(-0.5).buffer(0.5)
        if island.area > 8:
            rounded = shapely.union(rounded, corner)
            islands.append(island)
    return rounded, islands


def _closed(area: shapely.Geometry, radius: float) -> shapely.Geometry:
    return area.buffer(radius, quad_segs=8).buffer(-radius, quad_segs=8)


def _circles(roads: list[Road], rng: np.random.Generator) -> tuple[list[shapely.Geometry], list[shapely.Geometry]]:
    """Turning circles at dead ends and, now and then, a roundabout; and the islands in their middles."""
    circles, middles = [], []
    for road in roads:
        if _is_dead_end(road) and rng.random() < 0.25:
            centre, radius = shapely.Point(road.curve.at(road.length - 4)), rng.uniform(7, 12)
            circles.append(centre.buffer(radius))
            if radius > 9 and rng.random() < 0.5:
                middles.append(centre.buffer(radius - rng.uniform(5, 6.5)))
        for meeting in road.meetings:
            if meeting.leads and not meeting.minor and road.half_width() < 8 and rng.random() < 0.04:
                centre, radius = shapely.Point(road.curve.at(meeting.s)), meeting.core + rng.uniform(3, 8)
                circles.append(centre.buffer(radius))
                middles.append(centre.buffer(max(radius - rng.uniform(5.5, 9), 2.0)))
    return circles, middles


def _is_dead_end(road: Road) -> bool:
    last = max((m.s for m in road.meetings), default=0.0)
    return road.level in (1, 2) and np.isinf(road.outline_stop) and road.length - last > 30


def _medians(road: Road) -> list[shapely.Geometry]:
    islands = []
    for median in road.medians:
        widths = median.hi - median.lo
        band = shapely.make_valid(strip(road, median.s, median.lo, median.hi))
        nose = 0.4 * float(widths.min())
        rounded = band.buffer(-nose, quad_segs=4).buffer(nose * 0.98, quad_segs=4)
        islands += [part for part in shapely.get_parts(rounded) if part.area > MIN_ISLAND_M2]
    return islands


def _frontage_strips(road: Road, rng: np.random.Generator) -> list[shapely.Geometry]:
    islands = []
    for bump in (b for b in road.bumps if b.island > 0):
        base = road.section.left if bump.side > 0 else road.section.right
        taken = [(m.s - m.core - 2, m.s + m.core + 2) for m in road.meetings if bump.side in m.sides]
        opening = rng.uniform(2, 8)
        inside = (bump.start + bump.tapers[0] + opening, bump.stop - bump.tapers[1] - opening)
        for a, b in remaining(*inside, taken, 8.0):
            s = road.curve.stations(a, b)
            edge = np.full(len(s), base)
            band = shapely.make_valid(strip(road, s, edge, edge + bump.side * bump.island))
            islands.append(band.buffer(-0.35 * bump.island, quad_segs=4).buffer(0.35 * bump.island, quad_segs=4))
    return islands
