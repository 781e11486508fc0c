# SPDX-License-Identifier: Apache-2.0
"""Furnish bare roads: junction sizes, crossings, medians, turning lanes, parking, bays, frontage roads."""

from __future__ import annotations

import itertools

import numpy as np

from mapkd_core.worlds.procedural.road import Median, Meeting, Road, remaining
from mapkd_core.worlds.procedural.section import Bump
from mapkd_core.worlds.procedural.style import Style

CROSSING_WIDTH_M = (2.4, 4.6)


def furnish(roads: list[Road], style: Style, rng: np.random.Generator) -> None:
    """Fill in everything of `roads` that layout left open, in place."""
    for road in roads:
        for meeting in road.meetings:
            if meeting.leads:
                _size_junction(road, meeting, style, rng)
    streets = [road for road in roads if any(not m.minor for m in road.meetings) or road.level == 0]
    for road in streets:
        _add_midblock(road, style, rng)
        _add_medians(road, style, rng)
        for side in (1, -1):
            _add_kerbside(road, side, style, rng)


def twin(road: Road, meeting: Meeting) -> Meeting:
    """The same junction as the other road sees it."""
    found = [m for m in meeting.other.meetings if m.other is road and abs(m.other_s - meeting.s) < 1e-6]
    return found[0]


def _size_junction(road: Road, meeting: Meeting, style: Style, rng: np.random.Generator) -> None:
    other = twin(road, meeting)
    low, high = (1.0, 4.0) if meeting.minor else style.corner_radius
    meeting.radius = other.radius = float(rng.uniform(low, high))
    for mine, owner in ((meeting, road), (other, meeting.other)):
        skew = 1 / max(np.tan(mine.angle), 0.3) if mine.angle < 1.5 else 0.0
        reach = mine.other.half_width() / np.sin(mine.angle) + owner.half_width() * skew * 0.8
        mine.core = float(reach + (0.3 + 0.5 * rng.random()) * mine.radius)
        mine.clear = [mine.core + rng.uniform(0, 2), mine.core + rng.uniform(0, 2)]
        mine.breaks = bool(rng.random() < 0.55)
        if not mine.minor:
            _decide_crossings(owner, mine, style, rng)
    meeting.through = len(meeting.sides) == 1 and not any(meeting.crossed) and rng.random() < 0.5


def _decide_crossings(road: Road, meeting: Meeting, style: Style, rng: np.random.Generator) -> None:
    for arm in (0, 1):
        space = meeting.s if arm == 0 else road.length - meeting.s
        if space > meeting.core + 12 and rng.random() < style.crossing_chance:
            meeting.crossed[arm] = True
            meeting.clear[arm] = meeting.core + rng.uniform(*CROSSING_WIDTH_M) + rng.uniform(0.8, 2.0)


def _add_midblock(road: Road, style: Style, rng: np.random.Generator) -> None:
    for a, b in remaining(0, road.length, [(m.s - m.clear[0], m.s + m.clear[1]) for m in road.meetings], 40):
        if rng.random() < style.midblock_chance:
            start = rng.uniform(a + 15, b - 15)
            road.midblock.append((start, start + rng.uniform(*CROSSING_WIDTH_M)))


def _add_medians(road: Road, style: Style, rng: np.random.Generator) -> None:
    section = road.section
    if not section.kerbed or section.median < 0.5:
        return
    gap = 0.15
    taken = [(m.s - m.clear[0], m.s + m.clear[1]) for m in road.meetings if not m.minor and not _closed(m, rng)]
    taken += [(m.s - m.core - 2, m.s + m.core + 2) for m in road.meetings if m.minor and rng.random() < 0.3]
    taken += [(a - 1.0, b + 1.0) for a, b in road.midblock]
    for a, b in remaining(0, road.length, taken, 6.0):
        s = road.curve.stations(a + rng.uniform(0, 1.5), b - rng.uniform(0, 1.5))
        lo = np.full(len(s), section.split - section.median / 2 + gap)
        hi = np.full(len(s), section.split + section.median / 2 - gap)
        if section.median > section.lane_width + 0.6 and s[-1] - s[0] > 55:
            _cut_pockets(road, s, lo, hi, style, rng)
        road.medians.append(Median(s, lo, hi))


def _closed(meeting: Meeting, rng: np.random.Generator) -> bool:
    """Some side streets of a divided road are right turns only."""
    return len(meeting.sides) == 1 and meeting.through and rng.random() < 0.5


def _cut_pockets(
    road: Road, s: np.ndarray, lo: np.ndarray, hi: np.ndarray, style: Style, rng: np.random.Generator
) -> None:
    """Left-turn lanes cut into the median before a junction, in both directions of travel."""
    section = road.section
    for forward in (True, False):
        end = s[-1] if forward else s[0]
        if rng.random() > style.pocket_chance or not 20 < end < road.length - 20:
            continue
        length, taper = rng.uniform(22, min(60, 0.45 * (s[-1] - s[0]))), rng.uniform(6, 15)
        depth = section.lane_width * np.clip((length + taper - np.abs(end - s)) / taper, 0, 1)
        if forward:
            lo += depth
            road.lines.append((end - length, end, section.split - section.median / 2))
        else:
            hi -= depth
            road.lines.append((end, end + length, section.split + section.median / 2))


def _add_kerbside(road: Road, side: int, style: Style, rng: np.random.Generator) -> None:
    """Parking, bays, turning lanes and frontage roads between the junctions of one side."""
    taken = [
        (m.s - m.core - m.radius, m.s + m.core + m.radius) for m in road.meetings if side in m.sides and not m.minor
    ]
    taken += [(a - 6, b + 6) for a, b in road.midblock]
    for a, b in remaining(8, road.length - 8, taken, 18):
        draw = rng.random()
        if road.level < 2 and b - a > 45 and draw < style.frontage_chance:
            _add_frontage(road, side, a, b, rng)
        elif draw < style.frontage_chance + style.parking_chance:
            _add_parking(road, side, a, b, style, rng)
        elif rng.random() < style.pocket_chance * 0.6 and b - a > 40:
            _add_pocket(road, side, a, b, rng)
        elif rng.random() < 0.3 and b - a > 40:
            start = rng.uniform(a + 4, b - 34)
            width = rng.uniform(2.4, 3.2)
            taper = (rng.uniform(4, 12), rng.uniform(3, 10))
            road.bumps.append(Bump(side, start, start + rng.uniform(20, 30), taper, width, "bay", rng.random() < 0.2))


def _add_parking(road: Road, side: int, a: float, b: float, style: Style, rng: np.random.Generator) -> None:
    perpendicular = rng.random() < (0.5 if style.district == "campus" else 0.1)
    width = rng.uniform(4.6, 6.0) if perpendicular else rng.uniform(1.9, 2.7)
    taper = rng.uniform(0.2, 3.0)
    line = rng.random() < (0.3 if perpendicular else 0.5)
    blocks = 1 if rng.random() < 0.5 else int(max(1, (b - a) // rng.uniform(18, 45)))
    edges = np.linspace(a + rng.uniform(1, 6), b - rng.uniform(1, 6), blocks + 1)
    for start, stop in itertools.pairwise(edges):
        island = rng.uniform(1.0, 4.0) if blocks > 1 else 0.0
        if stop - island - start > 7:
            use = "lot" if perpendicular else "parking"
            road.bumps.append(Bump(side, start, stop - island, (taper, taper), width, use, line))


def _add_pocket(road: Road, side: int, a: float, b: float, rng: np.random.Generator) -> None:
    """A kerb-side lane that begins before a junction (right side) or ends after it (left side)."""
    length = rng.uniform(25, min(60, b - a))
    width, taper = rng.uniform(2.8, 3.4), rng.uniform(8, 20)
    start, stop, tapers = (b - length, b + 6, (taper, 1.0)) if side < 0 else (a - 6, a + length, (1.0, taper))
    road.bumps.append(Bump(side, start, stop, tapers, width, "pocket", True))


def _add_frontage(road: Road, side: int, a: float, b: float, rng: np.random.Generator) -> None:
    """A service road beside the main one behind a narrow kerbed strip."""
    island, lane = rng.uniform(0.8, 5.0), rng.uniform(3.2, 7.0)
    taper = (rng.uniform(6, 18), rng.uniform(6, 18))
    start, stop = a + rng.uniform(0, 10), b - rng.uniform(0, 10)
    road.bumps.append(Bump(side, start, stop, taper, island + lane, "frontage", island=island))
    if lane > 5.4 and rng.random() < 0.7:
        d = road.section.left if side > 0 else road.section.right
        middle = d + side * (island + lane / 2)
        road.lines.append((start + taper[0] + 4, stop - taper[1] - 4, middle))
