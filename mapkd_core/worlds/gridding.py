# SPDX-License-Identifier: Apache-2.0
"""From metres and coarse fields to the cells of a grid: outlines filled, fields stretched."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

SHIFT = 4  # fractional bits of polygon corners


def fill(image: NDArray[np.uint8], grid: BevGrid, outlines_m: list[NDArray[np.float64]], value: int) -> None:
    """Fill the outlines together (holes as further outlines, even-odd rule)."""
    inside = [c for outline in outlines_m if (c := corners(grid, outline)) is not None]
    if inside:
        cv2.fillPoly(image, inside, value, cv2.LINE_8, SHIFT)


def corners(grid: BevGrid, outline_m: NDArray[np.float64], margin: float = 4.0) -> NDArray[np.int32] | None:
    """Fixed-point pixel corners, or None when the outline lies wholly outside the grid."""
    cells = grid.to_cells(outline_m)
    low, high = cells.min(axis=0), cells.max(axis=0)
    if margin and ((high < -margin).any() or (low > np.array(grid.shape[::-1]) + margin).any()):
        return None
    return np.round(cells * (1 << SHIFT)).astype(np.int32)


def rings(area: shapely.MultiPolygon) -> list[NDArray[np.float64]]:
    """Outlines and holes of all polygons."""
    return [shapely.get_coordinates(ring) for polygon in area.geoms for ring in [polygon.exterior, *polygon.interiors]]


def stretched(low: NDArray, low_grid: BevGrid, grid: BevGrid, rows: slice) -> NDArray:
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
