# SPDX-License-Identifier: Apache-2.0
"""What stands beside the road: buildings, hedges, fences, trees, posts, placed along lines of equal distance to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import frontage, overhead, sprites
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.beside import Beside
from mapkd_core.worlds.roadside_textures import SPANS, draw_textures
from mapkd_core.worlds.walls import Billboards, Walls, add_wall, billboards_of, walls_of


@dataclass(frozen=True)
class Roadside:
    """Everything static beside the road. textures: levels of RGBA images, finest first."""

    walls: Walls
    billboards: Billboards
    textures: tuple[sprites.Levels, ...]


NOTHING_BESIDE = Roadside(walls_of([]), billboards_of([]), ())


def build_roadside(
    distance: NDArray[np.float32], grid: BevGrid, ego: NDArray[np.float64], look: Look, rng: np.random.Generator
) -> Roadside:
    """distance: metres to the road over `grid`, 0 on it."""
    beside = Beside(distance, grid, ego)
    more = rng.spawn(1)[0]  # numbers of its own: what stands here without it stays as it was
    textures = draw_textures(rng, more)
    walls: list[tuple] = []
    frontage.buildings(walls, beside, look, rng)
    frontage.low_walls(walls, beside, look, rng)
    boards: list[tuple] = []
    frontage.trees_and_posts(boards, beside, look, rng)
    frontage.bushes_and_railings(walls, boards, beside, look, more)
    for rib in overhead.spans(look.upkeep.spans, ego[:, 1:3], beside.distance_at, more):
        tile = (sprites.FACADE_M[0], rib.top - rib.bottom)
        add_wall(walls, rib.outline, rib.bottom, rib.top, int(more.choice(SPANS)), tile)
    return Roadside(walls_of(walls), billboards_of(boards), textures)
