# SPDX-License-Identifier: Apache-2.0
"""Dropped kerbs: where crossings and driveways meet the road, its kerb sinks to the road's level.

They belong to the place, not to a look: the same map has them at the same places in pictures and for the LiDAR.
"""

from __future__ import annotations

import zlib

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds import polylines
from mapkd_core.worlds.road_map import RoadMap

RAMP_M = 0.6  # from flush to full height
APRON_M = 1.3  # how far behind the kerb the footway is lowered too
_BEYOND_CROSSING_M = 0.4
_SPACING_M = 28.0  # of places for a driveway along the kerb
_LEAST_RING_M = 60.0  # shorter rings are islands
_PIECE_M = 0.5


class DroppedKerbs:
    """Dropped kerbs of one map. share: of the places for a driveway that have one.

    aprons: the lowered ground behind driveways, polygons that overlap the road.
    """

    def __init__(self, road_map: RoadMap, area: shapely.MultiPolygon, share: float) -> None:
        driveways = _driveways(area, share, np.random.default_rng(zlib.crc32(road_map.name.encode())))
        crossings = [shapely.make_valid(shapely.Polygon(ring)) for ring in road_map.crossings] if share > 0 else []
        flush = [*(c.buffer(_BEYOND_CROSSING_M) for c in crossings), *(d.buffer(_BEYOND_CROSSING_M) for d in driveways)]
        behind = [d.buffer(APRON_M, cap_style="flat") for d in driveways]  # of two parts round a tight corner
        self.aprons = [part for apron in behind for part in shapely.get_parts(apron)]
        self._flush = np.array(flush, object)
        self._tree = shapely.STRtree(self._flush)
        self._low = [*(shapely.buffer(c, APRON_M, cap_style="square") for c in crossings), *self.aprons]

    def height_share(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """N: the kerb's height at points (N x 2, on the kerb) as a share of the full one, 0 where it is dropped."""
        share = np.ones(len(points))
        if len(self._flush):
            found = shapely.points(points)
            point, place = self._tree.query(found, predicate="dwithin", distance=RAMP_M)
            apart = shapely.distance(found[point], self._flush[place]) / RAMP_M
            np.minimum.at(share, point, apart)
        return share

    def split(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Kerb segments (start, end N x 2) cut into short ones near dropped kerbs, and height shares in their middle.

        Returns start M x 2, end M x 2, share M.
        """
        near = np.zeros(len(start), bool)
        if len(self._flush) and len(start):
            lines = shapely.linestrings(np.stack([start, end], 1))
            near[self._tree.query(lines, predicate="dwithin", distance=RAMP_M)[0]] = True
        starts, ends = [start[~near]], [end[~near]]
        for a, b in zip(start[near], end[near], strict=True):
            fine = polylines.resampled(np.stack([a, b]), _PIECE_M)
            starts.append(fine[:-1])
            ends.append(fine[1:])
        first, last = np.concatenate(starts), np.concatenate(ends)
        return first, last, self.height_share((first + last) / 2)

    def level_ground(self, area: shapely.MultiPolygon) -> shapely.MultiPolygon:
        """The road and what is as low as it behind dropped kerbs."""
        if not self._low:
            return area
        beside = shapely.union_all([area, *self._low])
        return shapely.MultiPolygon([part for part in shapely.get_parts(beside) if part.geom_type == "Polygon"])


def _driveways(area: shapely.MultiPolygon, share: float, rng: np.random.Generator) -> list[shapely.LineString]:
    """Stretches of kerb where vehicles cross the footway."""
    found = []
    for polygon in area.geoms:
        for ring in (polygon.exterior, *polygon.interiors):
            line = shapely.get_coordinates(ring)
            if ring.length < _LEAST_RING_M:
                continue
            starts = np.arange(rng.uniform(3, _SPACING_M), ring.length - 8, _SPACING_M)
            starts += rng.uniform(-8, 8, len(starts)).clip(-starts, None)
            widths = rng.uniform(2.8, 5.0, len(starts))
            keep = rng.random(len(starts)) < share * 0.5
            found += [shapely.LineString(p) for p in polylines.pieces(line, starts[keep], (starts + widths)[keep])]
    return found
