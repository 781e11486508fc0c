# SPDX-License-Identifier: Apache-2.0
"""Textures of the ground: the grain of each kind of surface, its slow changes of brightness, the wear of paint."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise, polylines
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.gridding import SHIFT, corners
from mapkd_core.worlds.ground_kinds import GRASS, PAVED, PAVED_2, ROAD, SOIL, STONE
from mapkd_core.worlds.pavings import SPECIAL, setts_tile
from mapkd_core.worlds.road_map import RoadMap

TILE_CELL_M = 0.05


def grain_tiles(rng: np.random.Generator, look: Look) -> dict[int, NDArray[np.uint8]]:
    """Brightness of every surface at the finest cell, 128 = 1."""
    size = (1024, 1024)
    fine = rng.standard_normal(size, np.float32)
    coarse = noise.smooth(rng, size, 24.0, 4, 0.7)
    paved = 0.04 * fine + 0.04 * coarse
    tiles = {
        ROAD: noise.as_gain(0.7 * fine + 0.3 * coarse, look.asphalt_grain),
        PAVED: _tiled_pavement(rng, paved),
        GRASS: noise.as_gain(0.6 * fine + 0.6 * coarse, 0.16),
        SOIL: noise.as_gain(0.5 * fine + 0.7 * coarse, 0.10),
        STONE: noise.as_gain(0.5 * fine + 0.5 * coarse, 0.06),
    }
    more = rng.spawn(1)[0]
    if look.upkeep.district > 0:
        tiles[PAVED_2] = _tiled_pavement(more, 1.5 * paved)
    if look.upkeep.special == "setts":
        tiles[ROAD + SPECIAL] = setts_tile(more, size)
    return tiles


def _tiled_pavement(rng: np.random.Generator, base: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Brightness of a footway: joints between flags, their size drawn."""
    paved, pitch = base.copy(), int(rng.choice([8, 12, 20, 40]))
    paved[::pitch] -= 0.15
    paved[:, :: pitch * int(rng.integers(1, 3))] -= 0.12
    return noise.as_gain(paved, 1.0)


def slow_gain(road_map: RoadMap, low: BevGrid, look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness by stains, patches and wheel tracks over the coarse grid `low`, Y X 3, 128 = 1."""
    shape, cell = low.shape, low.cell
    common = noise.smooth(rng, shape, 12.0 / cell, 4, 0.6)
    patches = (noise.smooth(rng, shape, 40.0 / cell, 1) > 0.8).astype(np.float32)
    tracks = np.zeros(shape, np.uint8)
    for line in road_map.centrelines:
        for side in (-0.8, 0.8):
            cv2.polylines(tracks, [corners(low, polylines.offset(line, side), 0)], False, 255, 1, cv2.LINE_AA, SHIFT)
    worn = cv2.GaussianBlur(tracks, (0, 0), 1.0).astype(np.float32) / 255
    field = look.stains * (common + 0.8 * patches) + rng.uniform(-0.25, 0.2) * worn
    hue = [0.02 * noise.smooth(rng, shape, 30.0 / cell, 2) for _ in range(3)]
    return np.stack([noise.as_gain(field + h, 1.0) for h in hue], -1)


def wear_tile(rng: np.random.Generator, look: Look) -> NDArray[np.uint8]:
    """How much of its strength paint has left at the finest cell, 255 = all."""
    field = 0.7 * noise.smooth(rng, (1024, 1024), 40.0, 5, 0.75) + 0.5 * noise.smooth(rng, (1024, 1024), 300.0, 2)
    return np.clip((1.6 - 2.2 * look.wear + field * (0.2 + 0.6 * look.wear)) * 255, 25, 250).astype(np.uint8)


def at_cell(tile: NDArray[np.uint8], cell: float) -> NDArray[np.uint8]:
    """A tile drawn for the finest cell, averaged down to coarser cells: a texture is smoother the coarser it is."""
    factor = max(1, round(cell / TILE_CELL_M))
    return cv2.resize(tile, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA) if factor > 1 else tile
