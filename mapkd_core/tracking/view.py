# SPDX-License-Identifier: Apache-2.0
"""What one frame could see, in the odometry frame: where a line that is not found is missing, and how good it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core import geometry
from mapkd_core.grid import BevGrid

BORDER_M = 1.0  # what ends this near to the edge of the map may just be cut


class View:
    """grid, observed: of the frame's map (Y X bool; None = everywhere). odom_T_ego: 4x4 of the frame.

    sigma_m, sigma_per_m: standard deviation of a line beside the vehicle, and what each metre of distance adds.
    """

    def __init__(
        self,
        grid: BevGrid,
        observed: NDArray[np.bool_] | None,
        odom_T_ego: NDArray[np.float64],
        sigma_m: float,
        sigma_per_m: float,
    ) -> None:
        if observed is not None and observed.shape != grid.shape:
            raise ValueError(f"observed has shape {observed.shape}, the grid says {grid.shape}")
        self._grid, self._observed = grid, observed
        self.odom_T_ego, self._ego_T_odom = odom_T_ego, geometry.inverse(odom_T_ego)
        self._sigma_m, self._sigma_per_m = sigma_m, sigma_per_m

    def to_odom(self, xy_ego: NDArray[np.floating]) -> NDArray[np.float64]:
        """V x 2 on the ground, or V x 3 of which the heights are left out."""
        return geometry.apply_planar(self.odom_T_ego, np.asarray(xy_ego)[:, :2])

    def sees(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """N: whether a camera looks at each place, well inside the map. xy: N x 2, odometry frame."""
        grid, ego = self._grid, geometry.apply_planar(self._ego_T_odom, xy)
        inside = self._inset(ego) > BORDER_M
        if self._observed is None or not inside.any():
            return inside
        column, row = np.round(grid.to_cells(ego[inside])).astype(np.int64).T
        inside[inside] = self._observed[row, column]
        return inside

    def is_cut(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """N: whether each place lies at the edge of the map, where an outline may be the map's and not the area's."""
        return self._inset(geometry.apply_planar(self._ego_T_odom, xy)) < 0.3

    def variance(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """N: of what this frame found at each place, square metres."""
        return (self._sigma_m + self._sigma_per_m * self.distance(xy)) ** 2

    def distance(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """N metres from the vehicle."""
        return np.hypot(xy[:, 0] - self.odom_T_ego[0, 3], xy[:, 1] - self.odom_T_ego[1, 3])

    def height(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """N: z of the plane that the vehicle stands on."""
        up, foot = self.odom_T_ego[:3, 2], self.odom_T_ego[:3, 3]
        return foot[2] - ((xy - foot[:2]) @ up[:2]) / up[2]

    def _inset(self, ego: NDArray[np.float64]) -> NDArray[np.float64]:
        x_min, y_min, x_max, y_max = self._grid.bounds
        x, y = ego[:, 0], ego[:, 1]
        return np.minimum(np.minimum(x - x_min, x_max - x), np.minimum(y - y_min, y_max - y))
