# SPDX-License-Identifier: Apache-2.0
"""Upright things of the roadside as arrays: walls in pieces, and billboards, each with its index of a texture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import polylines

WALL_PIECE_M = 6.0


@dataclass(frozen=True)
class Walls:
    """Upright rectangles: start and end N x 2 (map metres), z N x 2 (bottom, top), index into `textures`.

    span: N x 4 left, right, top, bottom in shares of the texture.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    z: NDArray[np.float64]  # N x 2 bottom, top
    texture: NDArray[np.int64]
    span: NDArray[np.float64]


@dataclass(frozen=True)
class Billboards:
    """Upright pictures that always face the camera: foot N x 2, width and height N x 2, index into `textures`."""

    foot: NDArray[np.float64]
    size: NDArray[np.float64]
    texture: NDArray[np.int64]


def add_wall(
    walls: list[tuple], outline: NDArray[np.float64], bottom: float, top: float, texture: int, tile: tuple[float, float]
) -> None:
    """Append the walls along an outline (V x 2) to the rows of `walls_of`.

    Split into pieces no longer than half the texture, so that each lies inside one repeat of it.
    """
    step = min(WALL_PIECE_M, tile[0] / 2)
    fine = polylines.resampled(outline, step)
    s = 0.0
    for a, b in pairwise(fine):
        length = float(np.hypot(*(b - a)))
        left = (s % tile[0]) / tile[0]
        left = 0.0 if left + length / tile[0] > 1.0 else left
        walls.append(
            (a, b, (bottom, top), texture, (left, left + length / tile[0], max(0.0, 1 - (top - bottom) / tile[1]), 1.0))
        )
        s += length


def walls_of(rows: list[tuple]) -> Walls:
    """One row a piece: start, end, (bottom, top), texture, span."""
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], [], []]
    shapes = ((-1, 2), (-1, 2), (-1, 2), (-1,), (-1, 4))
    start, end, z, texture, span = (np.array(c, float).reshape(s) for c, s in zip(columns, shapes, strict=True))
    return Walls(start, end, z, texture.astype(int), span)


def billboards_of(rows: list[tuple]) -> Billboards:
    """One row a picture: foot, (width, height), texture."""
    columns = list(zip(*rows, strict=True)) if rows else [[], [], []]
    foot, size, texture = (
        np.array(c, float).reshape(s) for c, s in zip(columns, ((-1, 2), (-1, 2), (-1,)), strict=True)
    )
    return Billboards(foot, size, texture.astype(int))
