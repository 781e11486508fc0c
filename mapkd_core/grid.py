# SPDX-License-Identifier: Apache-2.0
"""The BEV grid: the one place that knows how metres become cells.

Arrays over the grid are indexed [..., iy, ix]: rows run along +y (left), columns along +x (forward), cell (0, 0) has
its corner at (x_min, y_min). This is the cell order of nav_msgs/OccupancyGrid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class BevGrid:
    """Axis-aligned rectangle of the ego frame, metres, cut into square cells of `cell` metres."""

    x_min: float = -30.0
    x_max: float = 30.0
    y_min: float = -15.0
    y_max: float = 15.0
    cell: float = 0.15

    def __post_init__(self) -> None:
        if not np.isfinite([self.x_min, self.x_max, self.y_min, self.y_max, self.cell]).all():
            raise ValueError(f"grid {self} is not of finite numbers")
        if self.cell <= 0 or self.x_max <= self.x_min or self.y_max <= self.y_min:
            raise ValueError(f"empty grid: {self}; need x_min < x_max, y_min < y_max, cell > 0")
        for name, length in (("x", self.x_max - self.x_min), ("y", self.y_max - self.y_min)):
            if abs(length / self.cell - round(length / self.cell)) > 1e-6:
                raise ValueError(f"{name} range of {length} m is not a whole number of {self.cell} m cells")

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X): number of rows along y and of columns along x."""
        return round((self.y_max - self.y_min) / self.cell), round((self.x_max - self.x_min) / self.cell)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x_min, y_min, x_max, y_max), the order of shapely's box()."""
        return self.x_min, self.y_min, self.x_max, self.y_max

    def contains(self, other: BevGrid) -> bool:
        """Whether the range of `other` lies inside this one's."""
        (x0, y0, x1, y1), (u0, v0, u1, v1) = self.bounds, other.bounds
        return x0 <= u0 and y0 <= v0 and u1 <= x1 and v1 <= y1

    def to_cells(self, xy_m: ArrayLike) -> NDArray[np.float64]:
        """Metres (..., 2) x y -> fractional cells (..., 2) column row; cell centres have integer coordinates."""
        xy = np.asarray(xy_m, np.float64)
        return (xy - (self.x_min, self.y_min)) / self.cell - 0.5

    def to_metres(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Fractional cells (..., 2) column row -> metres (..., 2) x y: the inverse of `to_cells`."""
        return (np.asarray(cells, np.float64) + 0.5) * self.cell + (self.x_min, self.y_min)

    def centres(self) -> NDArray[np.float64]:
        """Y X 2: metres of every cell centre."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]]
        return self.to_metres(np.stack([columns, rows], -1))

    def coarser(self, factor: int) -> BevGrid:
        """The same rectangle with cells `factor` times as wide."""
        return BevGrid(self.x_min, self.x_max, self.y_min, self.y_max, self.cell * factor)


# The ranges that papers report, length x width in metres: 60x30 at 0.15 m and 120x60, 240x60 at 0.3 m as P-MapNet,
# 100x50 as StreamMapNet's range (its vectors have no cells; 0.25 m is ours).
RANGES = {
    "60x30": BevGrid(),
    "120x60": BevGrid(-60.0, 60.0, -30.0, 30.0, 0.3),
    "240x60": BevGrid(-120.0, 120.0, -30.0, 30.0, 0.3),
    "100x50": BevGrid(-50.0, 50.0, -25.0, 25.0, 0.25),
}
