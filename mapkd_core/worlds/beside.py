# SPDX-License-Identifier: Apache-2.0
"""Where things beside the road may stand: lines of equal distance to it, within reach of the drive."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

_REACH_M = 95.0  # things farther from the drive are never large enough to matter


class Beside:
    """Lines at a chosen distance from the road, within reach of the drive."""

    def __init__(self, distance: NDArray[np.float32], grid: BevGrid, ego: NDArray[np.float64]) -> None:
        self._distance, self._grid = distance, grid
        self.track = ego[:, 1:3]
        track = np.zeros(grid.shape, np.uint8)
        cells = np.round(grid.to_cells(ego[:, 1:3])).astype(np.int32)
        cv2.polylines(track, [cells], False, 255, 1)
        self._reach = cv2.distanceTransform(255 - track, cv2.DIST_L2, 5) * grid.cell < _REACH_M

    def lines(self, metres: float) -> list[NDArray[np.float64]]:
        """Polylines (map metres) `metres` away from the road, cut to the reach."""
        beyond = ((self._distance > metres) & self._reach).astype(np.uint8)
        contours, _ = cv2.findContours(beyond, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        out = []
        for contour in contours:
            cells = contour[:, 0, :]
            near = np.abs(self._distance[cells[:, 1], cells[:, 0]] - metres) < 1.5
            breaks = np.nonzero(~near)[0]
            for part in np.split(cells, breaks):
                if len(part) > 12:
                    simple = cv2.approxPolyDP(part[1:].astype(np.float32)[:, None], 0.7 / self._grid.cell, False)
                    out.append(self._grid.to_metres(simple[:, 0]))
        return [line for line in out if len(line) > 1]

    def distance_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres from each point (N x 2) to the road."""
        cells = np.round(self._grid.to_cells(points)).astype(int)
        limit = np.array(self._grid.shape[::-1]) - 1
        x, y = np.clip(cells, 0, limit).T
        return self._distance[y, x]
