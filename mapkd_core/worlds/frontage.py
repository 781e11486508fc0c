# SPDX-License-Identifier: Apache-2.0
"""Rows of the roadside: buildings, hedges and fences, trees and posts, bushes and railings, and where each stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import low_growth, polylines, sprites
from mapkd_core.worlds import roadside_textures as textures
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.beside import Beside
from mapkd_core.worlds.walls import add_wall


def buildings(walls: list[tuple], beside: Beside, look: Look, rng: np.random.Generator) -> None:
    """Append facades along the road, with gaps; `walls` are rows of `walls_of`."""
    setback = look.pavement_m + rng.uniform(0.5, 7.0)
    for line in beside.lines(setback):
        total, s = polylines.arc_lengths(line)[-1], 0.0
        while s < total - 6:
            length = min(rng.uniform(8, 40), total - s)
            if rng.random() < look.buildings:
                base = next(polylines.pieces(line, np.array([s]), np.array([s + length])))
                _building(walls, base, rng, beside)
            s += length + (rng.uniform(0, 12) if rng.random() < 0.5 else 0.0)


def _building(walls: list[tuple], base: NDArray[np.float64], rng: np.random.Generator, beside: Beside) -> None:
    height, lower, upper = rng.uniform(3.5, 30), int(rng.integers(6)), 6 + int(rng.integers(3))
    normal = polylines.offset(base, 1.0) - base
    away = 1.0 if beside.distance_at(base + 2 * normal).mean() > beside.distance_at(base - 2 * normal).mean() else -1.0
    base = base + away * normal * rng.uniform(0, 3)
    ends = [base[0] + away * 10 * normal[0], base[-1] + away * 10 * normal[-1]]
    for outline in (base, np.stack([ends[0], base[0]]), np.stack([base[-1], ends[1]])):
        if len(outline) > 1 and beside.distance_at(outline).min() > 1.0:
            add_wall(walls, outline, 0.0, min(height, sprites.FACADE_M[1]), lower, sprites.FACADE_M)
            if height > sprites.FACADE_M[1]:
                add_wall(walls, outline, sprites.FACADE_M[1], height, upper, sprites.FACADE_M)


def low_walls(walls: list[tuple], beside: Beside, look: Look, rng: np.random.Generator) -> None:
    """Append hedges and fences."""
    for first, share in ((9, look.greenery), (12, 0.25)):
        for line in beside.lines(look.pavement_m * rng.uniform(0.3, 1.2) + 0.7):
            total, s = polylines.arc_lengths(line)[-1], 0.0
            while s < total - 3:
                length = min(rng.uniform(3, 25), total - s)
                if rng.random() < 0.45 * share:
                    outline = next(polylines.pieces(line, np.array([s]), np.array([s + length])))
                    height = rng.uniform(0.5, 1.6)
                    add_wall(walls, outline, 0.0, height, first + int(rng.integers(3)), (4 * height, height))
                s += length + rng.uniform(1, 10)


def bushes_and_railings(
    walls: list[tuple], boards: list[tuple], beside: Beside, look: Look, rng: np.random.Generator
) -> None:
    """Append what stands at the kerb."""
    for foot, size in low_growth.bushes(beside.lines, beside.track, look.upkeep.bushes, rng):
        boards.append((foot, size, textures.BUSHES[int(rng.integers(len(textures.BUSHES)))]))
    for outline, height in low_growth.railings(beside.lines, beside.track, look.upkeep.railings, rng):
        add_wall(walls, outline, 0.0, height, 12 + int(rng.integers(3)), low_growth.RAIL_TILE_M)


def trees_and_posts(boards: list[tuple], beside: Beside, look: Look, rng: np.random.Generator) -> None:
    """Append trees, lamps, signs and bollards; `boards` are rows of `billboards_of`."""
    kinds = (
        (rng.uniform(1.0, 2.5), 5.0, 0.6 * look.greenery, "tree"),
        (look.pavement_m + 2.5, 5.0, 0.8 * look.greenery, "tree"),
        (rng.uniform(0.5, 1.0), 28.0, 0.9, "lamp"),
        (rng.uniform(0.5, 1.2), 14.0, 0.4, "sign"),
        (0.6, 1.8, 0.15 if rng.random() < 0.4 else 0.0, "bollard"),
    )
    for metres, spacing, share, kind in kinds:
        for line in beside.lines(metres):
            s = np.arange(rng.uniform(0, spacing), polylines.arc_lengths(line)[-1], spacing)
            s = s[rng.random(len(s)) < share] + rng.uniform(-0.3, 0.3) * spacing
            for foot in polylines.at(line, s):
                boards.append((foot, *_upright(kind, rng)))


def _upright(kind: str, rng: np.random.Generator) -> tuple[tuple[float, float], int]:
    """Size (width, height) and texture of one thing."""
    if kind == "tree":
        height = rng.uniform(3.0, 11.0)
        return (height * rng.uniform(0.55, 0.95), height), 15 + int(rng.integers(6))
    if kind == "lamp":
        return (2.5, rng.uniform(6, 9)), 21
    if kind == "sign":
        return (0.8, rng.uniform(2.2, 3.2)), 22 + int(rng.integers(2))
    return (0.3, rng.uniform(0.8, 1.1)), 24
