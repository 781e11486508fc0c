# SPDX-License-Identifier: Apache-2.0
"""The ground as rays meet it: the road on the relief, the kerb's top beside it, uneven verges beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds.gridding import fill, rings
from mapkd_core.worlds.lidar import verge
from mapkd_core.worlds.lidar.cast import Cast
from mapkd_core.worlds.lidar.sensor import REACH_M, RINGS
from mapkd_core.worlds.lidar.surfaces import Kind

_ROAD_CELL_M, _MARGIN_M = 0.1, 8.0
_LEAST_DROP_M = 0.5


class Ground:
    """Ground of one world. area: the road, map frame; seed: of the verges."""

    def __init__(self, area: shapely.MultiPolygon, kerb_height_m: float, seed: int) -> None:
        self._kerb = kerb_height_m
        self._road, self._grid = _raster(area, _ROAD_CELL_M)
        self._verge, self._verge_grid = verge.heights(self._road, self._grid, seed)

    def cast(self, cast: Cast) -> None:
        """Fill in where every ray ends on the ground; call before anything that stands on it."""
        cast.distance[:] = cast.down_to(0.0)
        raised = cast.down_to(self._kerb).ravel()
        low = np.flatnonzero(raised < REACH_M)
        beside = low[looked_up(self._road, self._grid, _at(cast, low, raised[low])) == 0]
        cast.distance.reshape(-1)[beside] = self._on_verge(cast, beside, raised[beside])
        cast.kind.reshape(-1)[beside] = Kind.PAVEMENT

    def _on_verge(self, cast: Cast, flat: NDArray[np.int64], level: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where rays that meet level ground at distances `level` meet banks and plants; two steps are near enough."""
        drop = -cast.slope.ravel()[flat] * level  # from the sensor to where the ray meets it
        drop[drop < _LEAST_DROP_M] = np.inf  # up a hill: left as it is
        distance = level
        for _ in range(2):
            height = looked_up(self._verge, self._verge_grid, _at(cast, flat, distance))
            distance = level * np.clip(1 - height / drop, 0.6, 1.3)
        return distance


def looked_up(values: NDArray[Any], grid: BevGrid, xy: NDArray[np.float64]) -> NDArray[Any]:
    """Nearest cell's value for map points (..., 2); border values outside."""
    cells = np.round(grid.to_cells(xy)).astype(np.int32)
    x = cells[..., 0].clip(0, grid.shape[1] - 1)
    return values[cells[..., 1].clip(0, grid.shape[0] - 1), x]


def _at(cast: Cast, flat: NDArray[np.int64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points (N x 2) of rays at horizontal distances."""
    return cast.origin[flat // RINGS, :2] + distance[:, None] * cast.ahead[flat // RINGS]


def _raster(area: shapely.MultiPolygon, cell: float) -> tuple[NDArray[np.uint8], BevGrid]:
    """Where the road is: Y X, 255 on it, 0 beside and at the rim."""
    x0, y0, x1, y1 = area.bounds if not area.is_empty else (0.0, 0.0, cell, cell)
    low, high = np.floor((x0 - _MARGIN_M, y0 - _MARGIN_M)), np.ceil((x1 + _MARGIN_M, y1 + _MARGIN_M))
    grid = BevGrid(float(low[0]), float(high[0]), float(low[1]), float(high[1]), cell)
    road = np.zeros(grid.shape, np.uint8)
    fill(road, grid, rings(area), 255)
    return road, grid
