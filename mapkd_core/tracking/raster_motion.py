# SPDX-License-Identifier: Apache-2.0
"""Rasters of one moment laid under another's, by rigid motion in the plane. Y X cells of the grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import Matrix
from mapkd_core.grid import BevGrid

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def distance2(grid: BevGrid, place_m: Sequence[float]) -> NDArray[np.float32]:
    """Y X: squared metres from a place to every cell."""
    rows, columns = grid.shape
    x = grid.x_min + grid.cell * (np.arange(columns, dtype=np.float32) + 0.5) - np.float32(place_m[0])
    y = grid.y_min + grid.cell * (np.arange(rows, dtype=np.float32) + 0.5) - np.float32(place_m[1])
    return np.add.outer(y**2, x**2).astype(np.float32)


def box_of(cells: NDArray[np.bool_]) -> tuple[slice, slice] | tuple[()]:
    """Rows and columns around all that is True; () where nothing is."""
    rows, columns = (np.flatnonzero(cells.any(axis)) for axis in (1, 0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else ()


def seen_then(
    pixels: NDArray[np.uint8], then_T_now: NDArray[np.float64], box: tuple[slice, slice]
) -> NDArray[np.uint8]:
    """The part of what was seen then that lies in the box now. then_T_now: 2 3, of columns and rows."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in box)
    moved = then_T_now.copy()
    moved[:, 2] += then_T_now[:, :2] @ (left, top)
    return cv2.warpAffine(pixels, moved, (int(right - left), int(bottom - top)), flags=_FLAGS)


def cells_then(grid: BevGrid, then_T_now: Matrix) -> NDArray[np.float64]:
    """2 3: columns and rows of the grid now to those of the grid then, by the part of the motion in the plane."""
    cosine, sine = then_T_now[0, 0], then_T_now[1, 0]
    length = np.hypot(cosine, sine)
    turn = np.array([[cosine, -sine], [sine, cosine]]) / length
    corner = grid.to_metres([0.0, 0.0])
    shift = grid.to_cells(turn @ corner + then_T_now[:2, 3])
    return np.column_stack([turn, shift])
