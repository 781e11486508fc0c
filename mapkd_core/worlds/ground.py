# SPDX-License-Identifier: Apache-2.0
"""The ground as a texture in the map frame: asphalt with its history, paint, kerb stones, pavements, grass, shadows."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise, polylines
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.asphalt import asphalt_detail
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.ghosts import ghost_paint
from mapkd_core.worlds.markings import SHINING, Paint, road_paint
from mapkd_core.worlds.pavings import SPECIAL, Pavings, setts_tile
from mapkd_core.worlds.road_map import RoadMap

LOW_CELL_M, TILE_CELL_M = 0.4, 0.05
# A label of the road is _ROAD plus the kind of `pavings`; _PAVED_2 is the footway of some districts.
_PAVED, _PAVED_2, _GRASS, _SOIL, _STONE, _ROAD = range(6)
_LABELS = _ROAD + SPECIAL + 1
_SHIFT = 4  # fractional bits of polygon corners
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
        fill(road, far, _rings(area), 255)
        self.distance = cv2.distanceTransform(255 - road, cv2.DIST_L2, 5) * np.float32(far.cell)  # metres outside
        self._zones = noise.smooth(rng, far.shape, 25.0 / far.cell, 2)
        self._bare, self._districts = _growth(far, seed)
        self._gain = self._low_gain(rng)
        self._tiles = _grain_tiles(rng, look)
        self._wear = self._wear_tile(rng)

    def paint(self, grid: BevGrid) -> NDArray[np.uint8]:
        """Y X 3 RGB over `grid` (map frame), lit by the sun where no shadow lies."""
        look, width = self.look, grid.shape[1]
        tiles = {kind: _at_cell(tile, grid.cell) for kind, tile in self._tiles.items()}
        label = self._labels(grid)
        detail = asphalt_detail(grid, self.road_map, look, tiles[_ROAD], self._seed)
        self._pavings.draw_joints(detail, grid)
        alpha, colour = self._paint_masks(grid, label, self.paints)
        table, paints = _colours(look)
        grains = {kind: noise.tiled(tile, (_STRIPE, width)) for kind, tile in tiles.items() if kind != _ROAD}
        wear = noise.tiled(_at_cell(self._wear, grid.cell), (_STRIPE * 2, width))
        shade = self._shade(grid)
        image = np.empty((*grid.shape, 3), np.uint8)
        for top in range(0, grid.shape[0], _STRIPE):
            rows = slice(top, min(top + _STRIPE, grid.shape[0]))
            count, part_label, grain = rows.stop - top, label[rows], detail[rows]
            for kind, tile in grains.items():
                cv2.copyTo(tile[:count], cv2.compare(part_label, kind, cv2.CMP_EQ), grain)
            part = cv2.LUT(cv2.merge([part_label] * 3), table)
            cv2.multiply(part, _stretched(self._gain, self.low, grid, rows), part, scale=1 / 128)
            cv2.multiply(part, cv2.merge([grain] * 3), part, scale=1 / 128)
            _blend(
                part,
                cv2.multiply(alpha[rows], wear[top % (2 * _STRIPE) :][:count], scale=1 / 255),
                paints,
                colour[rows],
            )
            if shade is not None:
                cv2.multiply(part, _stretched(*shade, grid, rows), part, scale=1 / 255)
            image[rows] = part
        return image

    def coverage(self, grid: BevGrid) -> NDArray[np.uint8]:
        """Y X: how much paint that shines covers each cell of the road, 255 = fully."""
        road = np.full(grid.shape, _STONE, np.uint8)
        fill(road, grid, _rings(self.area), _ROAD)
        return self._paint_masks(grid, road, [paint for paint in self.paints if paint.colour in SHINING])[0]

    def _labels(self, grid: BevGrid) -> NDArray[np.uint8]:
        look = self.look
        coarse = grid.coarser(2)
        whole = slice(0, coarse.shape[0])
        distance, zone = (_stretched(field, self.low, coarse, whole) for field in (self.distance, self._zones))
        label = np.full(coarse.shape, _PAVED, np.uint8)
        label[zone > 0.9 - 2 * look.greenery] = _GRASS
        label[zone > 1.2] = _SOIL
        edge = np.where(zone > 0.4, np.float32(0.4), np.float32(look.pavement_m))
        if (earth := look.upkeep.earth) > 0:
            bare = _stretched(self._bare, self.low, coarse, whole)
            worn = (distance < edge + earth * (0.3 + 0.5 * bare)) | (bare > 2.0 - 1.2 * earth)
            label[worn & (label == _GRASS)] = _SOIL
        label[distance < edge] = _PAVED
        if look.upkeep.district > 0:
            second = _stretched(self._districts, self.low, coarse, whole) < look.upkeep.district
            label[second & (label == _PAVED)] = _PAVED_2
        fill(label, coarse, [shapely.get_coordinates(p.exterior) for p in self.dropped.aprons], _PAVED)
        label = cv2.resize(label, grid.shape[::-1], interpolation=cv2.INTER_NEAREST)
        stone = max(0.15, grid.cell)
        for line in self.road_map.boundaries:
            if look.kerb != "flush":
                piece = polylines.strip(polylines.resampled(line, 3.0), 2 * stone)
                fill(label, grid, [piece], _STONE)
        fill(label, grid, _rings(self.area), _ROAD)
        kinds = self._pavings.kinds(coarse)
        if kinds is not None:
            kinds = cv2.resize(kinds, grid.shape[::-1], interpolation=cv2.INTER_NEAREST)
            cv2.add(label, kinds, label, mask=cv2.compare(label, _ROAD, cv2.CMP_EQ))
        return label

    def _paint_masks(
        self, grid: BevGrid, label: NDArray[np.uint8], paints: list[Paint]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """How much paint covers each cell of the road, 255 = fully, and its colour index."""
        alpha, colour = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
        style = cv2.LINE_AA if grid.cell > 0.1 else cv2.LINE_8
        for paint in paints:
            if (corners := _corners(grid, paint.outline_m)) is None:
                continue
            cv2.fillPoly(alpha, [corners], int(paint.strength * 255), style, _SHIFT)
            if paint.colour:
                cv2.fillPoly(colour, [corners], paint.colour, cv2.LINE_8, _SHIFT)
        alpha[label < _ROAD] = 0
        return alpha, colour

    def _shade(self, grid: BevGrid) -> tuple[NDArray[np.uint8], BevGrid] | None:
        """Light left on the ground, 255 = full sun, and its coarser grid; None without shadows."""
        if self.look.sun <= 0 or not self.shadows:
            return None
        factor = 4 if grid.shape[0] % 4 == 0 and grid.shape[1] % 4 == 0 else 1
        coarse = grid.coarser(factor)
        lost = np.zeros(coarse.shape, np.uint8)
        for outline, share in self.shadows:
            if (corners := _corners(coarse, outline)) is not None:
                cv2.fillPoly(lost, [corners], int(255 * share), cv2.LINE_AA, _SHIFT)
        lost = cv2.GaussianBlur(lost, (3, 3), 0)
        tint = np.array([0.98, 0.94, 0.84])  # shadows are bluish: blue loses least
        return np.stack([(255 - self.look.sun * t * lost).astype(np.uint8) for t in tint], -1), coarse

    def _low_gain(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        shape, cell = self.low.shape, self.low.cell
        common = noise.smooth(rng, shape, 12.0 / cell, 4, 0.6)
        patches = (noise.smooth(rng, shape, 40.0 / cell, 1) > 0.8).astype(np.float32)
        tracks = np.zeros(shape, np.uint8)
        for line in self.road_map.centrelines:
            for side in (-0.8, 0.8):
                cv2.polylines(
                    tracks, [_corners(self.low, polylines.offset(line, side), 0)], False, 255, 1, cv2.LINE_AA, _SHIFT
                )
        worn = cv2.GaussianBlur(tracks, (0, 0), 1.0).astype(np.float32) / 255
        field = self.look.stains * (common + 0.8 * patches) + rng.uniform(-0.25, 0.2) * worn
        hue = [0.02 * noise.smooth(rng, shape, 30.0 / cell, 2) for _ in range(3)]
        return np.stack([noise.as_gain(field + h, 1.0) for h in hue], -1)

    def _wear_tile(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        field = 0.7 * noise.smooth(rng, (1024, 1024), 40.0, 5, 0.75) + 0.5 * noise.smooth(rng, (1024, 1024), 300.0, 2)
        return np.clip((1.6 - 2.2 * self.look.wear + field * (0.2 + 0.6 * self.look.wear)) * 255, 25, 250).astype(
            np.uint8
        )


def _at_cell(tile: NDArray[np.uint8], cell: float) -> NDArray[np.uint8]:
    """A tile drawn for the finest cell, averaged down to coarser cells: a texture is smoother the coarser it is."""
    factor = max(1, round(cell / TILE_CELL_M))
    return cv2.resize(tile, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA) if factor > 1 else tile


def _blend(base: NDArray[np.uint8], share: NDArray[np.uint8], paints: NDArray, colour: NDArray[np.uint8]) -> None:
    """Cover `base` (changed in place) with its paint where `share` (255 = fully) is not zero."""
    ys, xs = np.nonzero(share)
    here = share[ys, xs, None].astype(np.uint16)
    base[ys, xs] = ((base[ys, xs] * (255 - here) + paints[colour[ys, xs]] * here) // 255).astype(np.uint8)


def _stretched(low: NDArray, low_grid: BevGrid, grid: BevGrid, rows: slice) -> NDArray:
    """Rows of `grid` of an array over `low_grid`, whose cells are a whole number of cells of `grid`."""
    factor = round(low_grid.cell / grid.cell)
    x0, y0 = np.round(low_grid.to_cells(grid.to_metres((-0.5, -0.5))) + 0.5).astype(int)  # first cell, by its corner
    first, last = rows.start // factor - 1, -(-rows.stop // factor) + 1
    columns = grid.shape[1] // factor
    index = np.clip(np.arange(y0 + first, y0 + last), 0, low.shape[0] - 1)
    part = low[index][:, np.clip(np.arange(x0, x0 + columns), 0, low.shape[1] - 1)]
    wide = cv2.resize(part, (columns * factor, (last - first) * factor), interpolation=cv2.INTER_LINEAR)
    start = rows.start - first * factor
    return wide[start : start + rows.stop - rows.start]


def fill(image: NDArray[np.uint8], grid: BevGrid, outlines_m: list[NDArray[np.float64]], value: int) -> None:
    """Fill the outlines together (holes as further outlines, even-odd rule)."""
    corners = [c for outline in outlines_m if (c := _corners(grid, outline)) is not None]
    if corners:
        cv2.fillPoly(image, corners, value, cv2.LINE_8, _SHIFT)


def _corners(grid: BevGrid, outline_m: NDArray[np.float64], margin: float = 4.0) -> NDArray[np.int32] | None:
    """Fixed-point pixel corners, or None when the outline lies wholly outside the grid."""
    cells = grid.to_cells(outline_m)
    low, high = cells.min(axis=0), cells.max(axis=0)
    if margin and ((high < -margin).any() or (low > np.array(grid.shape[::-1]) + margin).any()):
        return None
    return np.round(cells * (1 << _SHIFT)).astype(np.int32)


def _rings(area: shapely.MultiPolygon) -> list[NDArray[np.float64]]:
    return [shapely.get_coordinates(ring) for polygon in area.geoms for ring in [polygon.exterior, *polygon.interiors]]


def _colours(look: Look) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB of every label (256 x 1 x 3) and of every paint (by colour index)."""
    road, upkeep = np.array(look.asphalt), look.upkeep
    table = np.zeros((256, 1, 3))
    beside = (look.pavement, upkeep.district_colour, look.grass, look.soil, look.kerb_colour)
    table[:_ROAD, 0] = np.array(beside)
    ways = [road, *(road * factor for factor in upkeep.asphalts), np.array(upkeep.special_colour)]
    table[_ROAD:_LABELS, 0] = np.array(ways)
    paints = np.array([look.white, look.yellow, (150, 85, 70), 0.5 * road, np.minimum(1.3 * road, 0.8 * look.white[0])])
    return table.clip(0, 255).astype(np.uint8), paints.clip(0, 255).astype(np.uint8)


def _growth(low: BevGrid, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where grass is thin (mean 0, deviation 1), and ranks 0..1 of districts some 150 m wide."""
    rng = np.random.default_rng([seed, 0xEA27])
    districts = noise.smooth(rng, low.shape, 150.0 / low.cell, 1)
    ranks = (0.5 + districts / 3.5).astype(np.float32)
    return noise.smooth(rng, low.shape, 6.0 / low.cell, 3, 0.8), ranks


def _tiled_pavement(rng: np.random.Generator, base: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Brightness of a footway: joints between flags, their size drawn."""
    paved, pitch = base.copy(), int(rng.choice([8, 12, 20, 40]))
    paved[::pitch] -= 0.15
    paved[:, :: pitch * int(rng.integers(1, 3))] -= 0.12
    return noise.as_gain(paved, 1.0)


def _grain_tiles(rng: np.random.Generator, look: Look) -> dict[int, NDArray[np.uint8]]:
    """Brightness of every surface at the finest cell, 128 = 1."""
    size = (1024, 1024)
    fine = rng.standard_normal(size, np.float32)
    coarse = noise.smooth(rng, size, 24.0, 4, 0.7)
    paved = 0.04 * fine + 0.04 * coarse
    tiles = {
        _ROAD: noise.as_gain(0.7 * fine + 0.3 * coarse, look.asphalt_grain),
        _PAVED: _tiled_pavement(rng, paved),
        _GRASS: noise.as_gain(0.6 * fine + 0.6 * coarse, 0.16),
        _SOIL: noise.as_gain(0.5 * fine + 0.7 * coarse, 0.10),
        _STONE: noise.as_gain(0.5 * fine + 0.5 * coarse, 0.06),
    }
    more = rng.spawn(1)[0]
    if look.upkeep.district > 0:
        tiles[_PAVED_2] = _tiled_pavement(more, 1.5 * paved)
    if look.upkeep.special == "setts":
        tiles[_ROAD + SPECIAL] = setts_tile(more, size)
    return tiles
