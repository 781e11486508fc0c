# SPDX-License-Identifier: Apache-2.0
"""What kind of ground each cell is: road and its pavings, kerb stone, footway, grass, soil; and the kinds' colours."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise, polylines
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.gridding import fill, stretched
from mapkd_core.worlds.pavings import SPECIAL, Pavings
from mapkd_core.worlds.road_map import RoadMap

# A kind of road is ROAD plus the kind of `pavings`; PAVED_2 is the footway of some districts.
PAVED, PAVED_2, GRASS, SOIL, STONE, ROAD = range(6)
_KINDS = ROAD + SPECIAL + 1


class GroundKinds:
    """Kinds of one world's ground. distance: metres to the road over the coarse grid `low`; zones: noise over it."""

    def __init__(
        self,
        road_map: RoadMap,
        road: list[NDArray[np.float64]],
        look: Look,
        seed: int,
        *,
        dropped: DroppedKerbs,
        pavings: Pavings,
        low: BevGrid,
        distance: NDArray[np.float32],
        zones: NDArray[np.float32],
    ) -> None:
        self._road_map, self._road, self._look, self._dropped, self._pavings = road_map, road, look, dropped, pavings
        self._low, self._distance, self._zones = low, distance, zones
        self._bare, self._districts = _growth(low, seed)

    def over(self, grid: BevGrid) -> NDArray[np.uint8]:
        """Y X: the kind of every cell."""
        look = self._look
        coarse = grid.coarser(2)
        whole = slice(0, coarse.shape[0])
        distance, zone = (stretched(field, self._low, coarse, whole) for field in (self._distance, self._zones))
        label = np.full(coarse.shape, PAVED, np.uint8)
        label[zone > 0.9 - 2 * look.greenery] = GRASS
        label[zone > 1.2] = SOIL
        edge = np.where(zone > 0.4, np.float32(0.4), np.float32(look.pavement_m))
        if (earth := look.upkeep.earth) > 0:
            bare = stretched(self._bare, self._low, coarse, whole)
            worn = (distance < edge + earth * (0.3 + 0.5 * bare)) | (bare > 2.0 - 1.2 * earth)
            label[worn & (label == GRASS)] = SOIL
        label[distance < edge] = PAVED
        if look.upkeep.district > 0:
            second = stretched(self._districts, self._low, coarse, whole) < look.upkeep.district
            label[second & (label == PAVED)] = PAVED_2
        fill(label, coarse, [shapely.get_coordinates(p.exterior) for p in self._dropped.aprons], PAVED)
        label = cv2.resize(label, grid.shape[::-1], interpolation=cv2.INTER_NEAREST)
        stone = max(0.15, grid.cell)
        for line in self._road_map.boundaries:
            if look.kerb != "flush":
                piece = polylines.strip(polylines.resampled(line, 3.0), 2 * stone)
                fill(label, grid, [piece], STONE)
        fill(label, grid, self._road, ROAD)
        kinds = self._pavings.kinds(coarse)
        if kinds is not None:
            kinds = cv2.resize(kinds, grid.shape[::-1], interpolation=cv2.INTER_NEAREST)
            cv2.add(label, kinds, label, mask=cv2.compare(label, ROAD, cv2.CMP_EQ))
        return label


def colours(look: Look) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB of every kind (256 x 1 x 3) and of every paint (by colour index)."""
    road, upkeep = np.array(look.asphalt), look.upkeep
    table = np.zeros((256, 1, 3))
    beside = (look.pavement, upkeep.district_colour, look.grass, look.soil, look.kerb_colour)
    table[:ROAD, 0] = np.array(beside)
    ways = [road, *(road * factor for factor in upkeep.asphalts), np.array(upkeep.special_colour)]
    table[ROAD:_KINDS, 0] = np.array(ways)
    paints = np.array([look.white, look.yellow, (150, 85, 70), 0.5 * road, np.minimum(1.3 * road, 0.8 * look.white[0])])
    return table.clip(0, 255).astype(np.uint8), paints.clip(0, 255).astype(np.uint8)


def _growth(low: BevGrid, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where grass is thin (mean 0, deviation 1), and ranks 0..1 of districts some 150 m wide."""
    rng = np.random.default_rng([seed, 0xEA27])
    districts = noise.smooth(rng, low.shape, 150.0 / low.cell, 1)
    ranks = (0.5 + districts / 3.5).astype(np.float32)
    return noise.smooth(rng, low.shape, 6.0 / low.cell, 3, 0.8), ranks
