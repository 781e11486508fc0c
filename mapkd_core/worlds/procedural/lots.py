# SPDX-License-Identifier: Apache-2.0
"""Car parks beside roads: a paved field behind a pavement, with kerbed rows inside and openings to the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.road import Road, remaining
from mapkd_core.worlds.procedural.style import Style

SLOT_M = 2.6
SLOT_DEPTH_M = 5.0


@dataclass(frozen=True, eq=False)
class Lot:
    """A car park of one road in its s and d: asphalt, islands and slots (x, y, yaw of each parking space's middle)."""

    area: shapely.Geometry
    islands: tuple[shapely.Geometry, ...]
    slots: NDArray[np.float64]


def add_lots(roads: list[Road], style: Style, rng: np.random.Generator) -> list[Lot]:
    """Car parks where there is room between the roads."""
    lots: list[Lot] = []
    for road in (road for road in roads if road.level <= 1):
        for side in (1, -1):
            taken = [(m.s - m.core - 6, m.s + m.core + 6) for m in road.meetings if side in m.sides]
            for a, b in remaining(15, road.length - 15, taken, 26):
                if rng.random() < style.lot_chance:
                    lot = _lot(road, side, a, b, rng)
                    if lot is not None and _has_room(lot, road, roads, lots):
                        lots.append(lot)
    return lots


def _has_room(lot: Lot, road: Road, roads: list[Road], lots: list[Lot]) -> bool:
    clear_of_roads = all(x is road or x.axis.distance(lot.area) > x.half_width() + 5.0 for x in roads)
    return clear_of_roads and all(lot.area.distance(other.area) > 4.0 for other in lots)


def _lot(road: Road, side: int, a: float, b: float, rng: np.random.Generator) -> Lot | None:
    start = rng.uniform(a, b - 24)
    stop = min(b, start + rng.uniform(22, 75))
    edge = side * float(np.max(side * road.kerb(side, np.linspace(start, stop, 12)))) + side * rng.uniform(1.5, 6.0)
    aisle = rng.uniform(5.0, 7.5)
    rows = int(rng.integers(1, 4))
    depth = rows * (aisle + SLOT_DEPTH_M) + (SLOT_DEPTH_M if rng.random() < 0.7 else 0.0)
    s = road.curve.stations(start, stop, 3.0)
    if _folds(road, s, side, edge + side * depth):
        return None
    field = _band(road, s, edge, edge + side * depth)
    openings = [
        _opening(road, side, rng.uniform(start + 4, stop - 4), edge, rng) for _ in range(int(rng.integers(1, 3)))
    ]
    islands, slots = _rows(road, side, start, stop, edge, depth, aisle, rng)
    area = shapely.union_all([field, *openings])
    return Lot(area, tuple(islands), np.array(slots).reshape(-1, 3))


def _folds(road: Road, s: NDArray[np.float64], side: int, reach: float) -> bool:
    """Whether an offset curve this far out would turn back on itself, the road bending towards it too much."""
    turned = np.gradient(road.curve.heading_at(s), s)
    return bool(np.any(turned * reach > 0.7))


def _band(road: Road, s: NDArray[np.float64], d0: float, d1: float) -> shapely.Geometry:
    ring = np.vstack([road.curve.at(s, d0), road.curve.at(s[::-1], d1)])
    return shapely.make_valid(shapely.Polygon(ring))


def _opening(road: Road, side: int, s: float, edge: float, rng: np.random.Generator) -> shapely.Geometry:
    """A short drive from the road into the field, its corners rounded towards both."""
    half = rng.uniform(2.5, 4.5)
    kerb = float(road.kerb(side, s))
    return _band(road, np.array([s - half, s + half]), 0.8 * kerb, edge + side * 1.0)


def _rows(
    road: Road, side: int, start: float, stop: float, edge: float, depth: float, aisle: float, rng: np.random.Generator
) -> tuple[list[shapely.Geometry], list[list[float]]]:
    """Rows of slots, some behind a kerbed strip, some cut by planted fingers."""
    islands: list[shapely.Geometry] = []
    slots: list[list[float]] = []
    filled = rng.uniform(0.2, 0.95)
    row = SLOT_DEPTH_M / 2 if rng.random() < 0.5 else aisle + SLOT_DEPTH_M / 2
    while row < depth:
        d = edge + side * row
        if rng.random() < 0.5 and SLOT_DEPTH_M < row < depth - SLOT_DEPTH_M:
            width = rng.uniform(0.8, 2.2)
            s = road.curve.stations(start + 6, stop - 6, 3.0)
            if s[-1] - s[0] > 6:
                islands.append(_band(road, s, d - side * width / 2, d + side * width / 2))
                d += side * (width / 2 + SLOT_DEPTH_M / 2)
        yaw = np.pi / 2 if rng.random() < 0.5 else -np.pi / 2
        for slot in np.arange(start + 5, stop - 5, SLOT_M).tolist():
            if rng.random() < filled:
                turn = rng.normal(0, 0.03) + (np.pi if rng.random() < 0.25 else 0.0)
                slots.append([*road.curve.at(slot, d), float(road.curve.heading_at(slot)) + yaw + turn])
        row += aisle + SLOT_DEPTH_M
    return islands, slots
