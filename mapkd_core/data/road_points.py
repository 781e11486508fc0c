# SPDX-License-Identifier: Apache-2.0
"""Which LiDAR points a sample keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

HIGHEST_POINT_M = 4.0


def near(points: NDArray[np.float32], g: BevGrid) -> NDArray[np.float32]:
    """The points over the grid and not far above the road: the others are no help to a map, and much to store."""
    x, y, z = points[:, :3].T
    inside = (x > g.x_min) & (x < g.x_max) & (y > g.y_min) & (y < g.y_max) & (z < HIGHEST_POINT_M)
    return points[inside]
