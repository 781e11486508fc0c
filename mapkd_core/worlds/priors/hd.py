# SPDX-License-Identifier: Apache-2.0
"""An HD map as a prior: partly missing, shifted, out of date.

The prior is a RoadMap with other lines, so that everything that reads a road map reads a prior. What has changed is
told beside it: a student must not learn from a prior that never errs, and a test must know what it should find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import apply_planar, inverse, planar
from mapkd_core.worlds import polylines
from mapkd_core.worlds.road_map import Line, RoadMap

_STREAM = 0x4D
_LANE_M, _CROSSING_STEP_M = 1.75, 12.0


@dataclass(frozen=True)
class HdDamage:
    """What is wrong with a prior. Shares are of elements (after cutting), lengths metres.

    shift_m, yaw_rad: deviation of one rigid error of the whole map (localisation). holes_per_100m, hole_m: places
    along the drive, and their radius, for which there is no map. removed: share of elements that the prior lacks.
    moved, moved_m: share of elements that lie elsewhere now, and the deviation of their way, across the element.
    added: number of elements that are gone by now, as a share of the true ones.
    """

    shift_m: float = 0.0
    yaw_rad: float = 0.0
    holes_per_100m: float = 0.0
    hole_m: float = 15.0
    removed: float = 0.0
    moved: float = 0.0
    moved_m: float = 1.0
    added: float = 0.0

    def __post_init__(self) -> None:
        shares = {"removed": self.removed, "moved": self.moved}
        if wrong := {name: share for name, share in shares.items() if not 0 <= share <= 1}:
            raise ValueError(f"{wrong}: shares lie between 0 and 1")
        if min(self.shift_m, self.yaw_rad, self.holes_per_100m, self.moved_m, self.added) < 0 or self.hole_m <= 0:
            raise ValueError(f"{self}: nothing may be negative, and hole_m must be positive")


LEVELS: dict[str, HdDamage] = {
    "true": HdDamage(),
    "fresh": HdDamage(0.15, 0.002, 0.0, 15.0, 0.03, 0.03, 0.7, 0.03),
    "aged": HdDamage(0.4, 0.005, 0.5, 15.0, 0.15, 0.12, 1.0, 0.12),
    "poor": HdDamage(0.8, 0.01, 1.2, 20.0, 0.35, 0.25, 1.5, 0.25),
}


class HdPrior(NamedTuple):
    """road_map: what the prior says. prior_T_map: 4x4, its rigid error. Counts of elements removed, moved and added."""

    road_map: RoadMap
    prior_T_map: NDArray[np.float64]
    removed: int
    moved: int
    added: int


def damaged(road_map: RoadMap, damage: HdDamage | str, seed: int) -> HdPrior:
    """The prior of one world; the same arguments give the same prior. ValueError for an unknown level."""
    if isinstance(damage, str):
        if damage not in LEVELS:
            raise ValueError(f"HD prior level {damage!r} is unknown; known: {', '.join(LEVELS)}")
        damage = LEVELS[damage]
    rng = np.random.default_rng([seed, _STREAM])
    prior_T_map = _rigid(road_map, damage, rng)
    gaps = _gaps(road_map, damage, rng)
    counts = np.zeros(3, int)
    layers = {}
    for name in ("dividers", "boundaries", "crossings"):
        is_ring = name == "crossings"
        kept = _outside(getattr(road_map, name), gaps, is_ring)
        changed, count = _changed(kept, damage, is_ring, rng)
        layers[name] = tuple(apply_planar(prior_T_map, line) for line in changed)
        counts += count
    prior = replace(
        road_map,
        name=f"{road_map.name}-prior",
        dividers=layers["dividers"],
        boundaries=layers["boundaries"],
        crossings=layers["crossings"],
        drivable=None,
    )
    return HdPrior(prior, prior_T_map, *counts.tolist())


def _rigid(road_map: RoadMap, damage: HdDamage, rng: np.random.Generator) -> NDArray[np.float64]:
    """Turned around the middle of the drive, so that a yaw error does not become a shift of the whole."""
    x, y = road_map.ego[:, 1:3].mean(axis=0)
    (dx, dy), yaw = rng.normal(0, damage.shift_m, 2), rng.normal(0, damage.yaw_rad)
    if damage.shift_m == 0 and damage.yaw_rad == 0:
        return np.eye(4)
    return planar(x + dx, y + dy, yaw) @ inverse(planar(x, y, 0.0))


def _gaps(road_map: RoadMap, damage: HdDamage, rng: np.random.Generator) -> shapely.Geometry:
    """Discs along the drive; a parked vehicle's drive counts as 100 m."""
    track = road_map.ego[:, 1:3]
    length = max(float(polylines.arc_lengths(track)[-1]), 100.0)
    places = rng.integers(0, len(track), rng.poisson(damage.holes_per_100m * length / 100.0))
    return shapely.union_all(shapely.buffer(shapely.points(track[places]), damage.hole_m))


def _outside(lines: Sequence[Line], gaps: shapely.Geometry, is_ring: bool) -> list[Line]:
    if gaps.is_empty:
        return list(lines)
    if is_ring:
        return [ring for ring in lines if not gaps.contains(shapely.Point(ring.mean(axis=0)))]
    parts = [p for line in lines for p in shapely.get_parts(shapely.difference(shapely.LineString(line), gaps))]
    return [shapely.get_coordinates(part) for part in parts if part.length > 0]


def _changed(
    lines: Sequence[Line], damage: HdDamage, is_ring: bool, rng: np.random.Generator
) -> tuple[list[Line], tuple[int, int, int]]:
    """Elements of one layer as the prior has them, and how many were removed, moved and added."""
    out: list[Line] = []
    moved = 0
    for line in lines:
        draw, way = rng.random(2), rng.normal(0, damage.moved_m)
        if draw[0] < damage.removed:
            continue
        is_moved = draw[1] < damage.moved
        moved += int(is_moved)
        out.append(_aside(line, way) if is_moved else line)
    removed = len(lines) - len(out)
    count = int(rng.poisson(damage.added * len(lines))) if lines else 0
    for index in rng.integers(0, max(len(lines), 1), count):
        # A line that was repainted lay half a lane beside; a crossing that was given up lay farther along the road.
        out.append(_aside(lines[index], rng.choice([-1, 1]) * (_CROSSING_STEP_M if is_ring else _LANE_M)))
    return out, (removed, moved, count)


def _aside(line: Line, metres: float) -> Line:
    """The element moved as a whole across its longest side, to the left for positive metres."""
    steps = np.diff(line, axis=0)
    along = steps[np.hypot(*steps.T).argmax()]
    return line + metres * np.array([-along[1], along[0]]) / np.hypot(*along)
