# SPDX-License-Identifier: Apache-2.0
"""Ghost lines: dividers, crossings and arrows of former years, burnt off or painted over, that no map contains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds import polylines, symbols
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.markings import DARK, SCAR, WHITE, Paint
from mapkd_core.worlds.road_map import RoadMap

CLEAR_M = 0.4  # between a ghost's edge and the middle of any divider: what lies nearer would blur the truth
_DOUBLE_M = 0.3  # half of what a doubled divider covers
_CROSSING_CLEAR_M = 1.5
_HALF_ROAD_M = 8.0  # paint beside the road is cut off when it is drawn


def ghost_paint(road_map: RoadMap, look: Look, seed: int) -> list[Paint]:
    """Paint to be applied before the current one; empty in a world without ghosts."""
    amount = look.upkeep.ghosts
    if amount <= 0:
        return []
    rng = np.random.default_rng([seed, 0x6057])
    free = _Free(road_map)
    paints: list[Paint] = []
    for line in road_map.dividers:
        if len(line) > 1 and rng.random() < 0.6 * amount:
            paints += _old_divider(line, free, look, rng)
    for line in road_map.centrelines:
        length = float(polylines.arc_lengths(line)[-1]) if len(line) > 1 else 0.0
        if length > 15 and rng.random() < 0.3 * amount:
            arrow = list(_old_arrow(line, rng.uniform(4, length - 6), rng))
            paints += arrow if all(free.of_dividers(part.outline_m) for part in arrow) else []
        if length > 25 and rng.random() < 0.12 * amount:
            paints += _old_crossing(line, rng.uniform(5, length - 5), free, rng)
    return paints


class _Free:
    """Where a ghost may lie: clear of the current dividers and crossings."""

    def __init__(self, road_map: RoadMap) -> None:
        self._dividers = np.array([shapely.LineString(x) for x in road_map.dividers if len(x) > 1], object)
        self._tree = shapely.STRtree(self._dividers)
        self._crossings = shapely.STRtree([shapely.make_valid(shapely.Polygon(ring)) for ring in road_map.crossings])

    def parts(self, line: NDArray[np.float64], width: float) -> list[NDArray[np.float64]]:
        """The parts of a line whose paint, `width` metres wide, keeps CLEAR_M away from every divider's paint."""
        path, clear = shapely.LineString(line), CLEAR_M + _DOUBLE_M + width / 2
        near = self._tree.query(path, predicate="dwithin", distance=clear)
        if len(near):
            path = shapely.difference(path, shapely.union_all(shapely.buffer(self._dividers[near], clear)))
        return [shapely.get_coordinates(p) for p in shapely.get_parts(path) if p.length > 1.0]

    def of_dividers(self, outline: NDArray[np.float64]) -> bool:
        """Whether a patch keeps CLEAR_M away from every divider's paint."""
        near = self._tree.query(shapely.Polygon(outline), predicate="dwithin", distance=CLEAR_M + _DOUBLE_M)
        return len(near) == 0

    def of_crossings(self, outline: NDArray[np.float64]) -> bool:
        """Whether no crossing is near the outline."""
        hits = self._crossings.query(shapely.Polygon(outline), predicate="dwithin", distance=_CROSSING_CLEAR_M)
        return len(hits) == 0


def _tone(rng: np.random.Generator) -> tuple[int, float]:
    """Colour and strength: mostly painted over in dark grey, else ground off, else the old white half erased."""
    draw = rng.random()
    if draw < 0.6:
        return DARK, rng.uniform(0.45, 0.9)
    return (SCAR, rng.uniform(0.4, 0.8)) if draw < 0.8 else (WHITE, rng.uniform(0.12, 0.3))


def _old_divider(line: NDArray[np.float64], free: _Free, look: Look, rng: np.random.Generator) -> Iterator[Paint]:
    """Beside the divider, now and then drifting across it (as lanes moved), dashed or solid."""
    fine = polylines.resampled(line, 4.0)
    s = polylines.arc_lengths(fine)
    first = rng.choice([-1, 1]) * rng.uniform(0.85, 1.9)
    last = -first if rng.random() < 0.25 else first
    left = (polylines.offset(fine, 1.0) - fine) * np.interp(s, [0, s[-1]], [first, last])[:, None]
    width, (colour, strength) = look.line_width_m * rng.uniform(0.9, 1.4), _tone(rng)
    on, off = look.dash_m if rng.random() < 0.5 else (6.0, 0.0)
    for part in free.parts(fine + left, width):
        starts = np.arange(0, polylines.arc_lengths(part)[-1] - 0.3, on + off)
        starts = starts[rng.random(len(starts)) > 0.12]
        for piece in polylines.pieces(part, starts, np.minimum(starts + on, polylines.arc_lengths(part)[-1])):
            yield Paint(polylines.strip(piece, width), colour, float(np.clip(strength + rng.normal(0, 0.08), 0.1, 0.9)))


def _old_arrow(line: NDArray[np.float64], at_m: float, rng: np.random.Generator) -> Iterator[Paint]:
    colour, strength = _tone(rng)
    moved = polylines.offset(line, rng.normal(0, 0.5))
    for outline in symbols.arrow(moved, at_m, rng):
        yield Paint(outline, colour, strength)


def _old_crossing(line: NDArray[np.float64], at_m: float, free: _Free, rng: np.random.Generator) -> Iterator[Paint]:
    """Bars along the lane, across the whole road, where no crossing is."""
    depth, bar, gap = rng.uniform(2.4, 4.0), rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.7)
    box = np.array([[0.0, -_HALF_ROAD_M], [depth, -_HALF_ROAD_M], [depth, _HALF_ROAD_M], [0.0, _HALF_ROAD_M]])
    if not free.of_crossings(symbols.placed(box, line, at_m)):
        return
    colour, strength = _tone(rng)
    for y in np.arange(-_HALF_ROAD_M, _HALF_ROAD_M, bar + gap):
        bar_m = symbols.placed(np.array([[0.0, y], [depth, y], [depth, y + bar], [0.0, y + bar]]), line, at_m)
        shade = float(np.clip(strength + rng.normal(0, 0.1), 0.1, 0.9))
        if free.of_dividers(bar_m):
            yield Paint(bar_m, colour, shade)
