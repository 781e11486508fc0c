# SPDX-License-Identifier: Apache-2.0
"""The ground as a texture in the map frame: asphalt with its history, paint, kerb stones, pavements, grass, shadows."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.asphalt import asphalt_detail
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.ghosts import ghost_paint
from mapkd_core.worlds.gridding import SHIFT, corners, fill, rings, stretched
from mapkd_core.worlds.ground_grain import at_cell, grain_tiles, slow_gain, wear_tile
from mapkd_core.worlds.ground_kinds import ROAD, STONE, GroundKinds, colours
from mapkd_core.worlds.markings import SHINING, Paint, road_paint
from mapkd_core.worlds.pavings import Pavings
from mapkd_core.worlds.road_map import RoadMap

LOW_CELL_M = 0.4
_STRIPE = 512  # rows painted at a time: three stripes fit into the cache


class GroundPainter:
    """Paints any part of one world's ground at any cell size; the same place always looks the same."""

    def __init__(self, road_map: RoadMap, area: shapely.MultiPolygon, look: Look, seed: int, far: BevGrid) -> None:
        rng = np.random.default_rng([seed, 0x6D])
        self.road_map, self.area, self.look, self._seed = road_map, area, look, seed
        self.low = far
        self.dropped = DroppedKerbs(road_map, area, look.upkeep.dropped)
        self.paints = [*ghost_paint(road_map, look, seed), *road_paint(road_map, area, look, rng)]
        self._pavings = Pavings(road_map, look.upkeep, seed)
        self.shadows: list[tuple[NDArray[np.float64], float]] = []  # outline in metres, share of sunlight that is lost
        road = np.zeros(far.shape, np.uint8)
        self._road = rings(area)
        fill(road, far, self._road, 255)
        self.distance = cv2.distanceTransform(255 - road, cv2.DIST_L2, 5) * np.float32(far.cell)  # metres outside
        self._kinds = GroundKinds(
            road_map, self._road, look, seed, dropped=self.dropped, pavings=self._pavings,
            low=far, distance=self.distance, zones=noise.smooth(rng, far.shape, 25.0 / far.cell, 2),
        )  # fmt: skip
        self._gain = slow_gain(road_map, far, look, rng)
        self._tiles = grain_tiles(rng, look)
        self._wear = wear_tile(rng, look)

    def paint(self, grid: BevGrid) -> NDArray[np.uint8]:
        """Y X 3 RGB over `grid` (map frame), lit by the sun where no shadow lies."""
        look, width = self.look, grid.shape[1]
        tiles = {kind: at_cell(tile, grid.cell) for kind, tile in self._tiles.items()}
        label = self._kinds.over(grid)
        detail = asphalt_detail(grid, self.road_map, look, tiles[ROAD], self._seed)
        self._pavings.draw_joints(detail, grid)
        alpha, colour = self._paint_masks(grid, label, self.paints)
        table, paints = colours(look)
        grains = {kind: noise.tiled(tile, (_STRIPE, width)) for kind, tile in tiles.items() if kind != ROAD}
        wear = noise.tiled(at_cell(self._wear, grid.cell), (_STRIPE * 2, width))
        shade = self._shade(grid)
        image = np.empty((*grid.shape, 3), np.uint8)
        for top in range(0, grid.shape[0], _STRIPE):
            rows = slice(top, min(top + _STRIPE, grid.shape[0]))
            count, part_label, grain = rows.stop - top, label[rows], detail[rows]
            for kind, tile in grains.items():
                cv2.copyTo(tile[:count], cv2.compare(part_label, kind, cv2.CMP_EQ), grain)
            part = cv2.LUT(cv2.merge([part_label] * 3), table)
            cv2.multiply(part, stretched(self._gain, self.low, grid, rows), part, scale=1 / 128)
            cv2.multiply(part, cv2.merge([grain] * 3), part, scale=1 / 128)
            _blend(
                part,
                cv2.multiply(alpha[rows], wear[top % (2 * _STRIPE) :][:count], scale=1 / 255),
                paints,
                colour[rows],
            )
            if shade is not None:
                cv2.multiply(part, stretched(*shade, grid, rows), part, scale=1 / 255)
            image[rows] = part
        return image

    def coverage(self, grid: BevGrid) -> NDArray[np.uint8]:
        """Y X: how much paint that shines covers each cell of the road, 255 = fully."""
        road = np.full(grid.shape, STONE, np.uint8)
        fill(road, grid, self._road, ROAD)
        return self._paint_masks(grid, road, [paint for paint in self.paints if paint.colour in SHINING])[0]

    def _paint_masks(
        self, grid: BevGrid, label: NDArray[np.uint8], paints: list[Paint]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """How much paint covers each cell of the road, 255 = fully, and its colour index."""
        alpha, colour = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
        style = cv2.LINE_AA if grid.cell > 0.1 else cv2.LINE_8
        for paint in paints:
            if (inside := corners(grid, paint.outline_m)) is None:
                continue
            cv2.fillPoly(alpha, [inside], int(paint.strength * 255), style, SHIFT)
            if paint.colour:
                cv2.fillPoly(colour, [inside], paint.colour, cv2.LINE_8, SHIFT)
        alpha[label < ROAD] = 0
        return alpha, colour

    def _shade(self, grid: BevGrid) -> tuple[NDArray[np.uint8], BevGrid] | None:
        """Light left on the ground, 255 = full sun, and its coarser grid; None without shadows."""
        if self.look.sun <= 0 or not self.shadows:
            return None
        factor = 4 if grid.shape[0] % 4 == 0 and grid.shape[1] % 4 == 0 else 1
        coarse = grid.coarser(factor)
        lost = np.zeros(coarse.shape, np.uint8)
        for outline, share in self.shadows:
            if (inside := corners(coarse, outline)) is not None:
                cv2.fillPoly(lost, [inside], int(255 * share), cv2.LINE_AA, SHIFT)
        lost = cv2.GaussianBlur(lost, (3, 3), 0)
        tint = np.array([0.98, 0.94, 0.84])  # shadows are bluish: blue loses least
        return np.stack([(255 - self.look.sun * t * lost).astype(np.uint8) for t in tint], -1), coarse


def _blend(base: NDArray[np.uint8], share: NDArray[np.uint8], paints: NDArray, colour: NDArray[np.uint8]) -> None:
    """Cover `base` (changed in place) with its paint where `share` (255 = fully) is not zero."""
    ys, xs = np.nonzero(share)
    here = share[ys, xs, None].astype(np.uint16)
    base[ys, xs] = ((base[ys, xs] * (255 - here) + paints[colour[ys, xs]] * here) // 255).astype(np.uint8)
