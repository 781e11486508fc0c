# SPDX-License-Identifier: Apache-2.0
"""From the map that lasts back to what a single frame tells: the ego frame, cut to its grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.clipping import clip
from mapkd_core.geometry import apply_planar, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.tracking.track import TrackedElement
from mapkd_core.types import MapElement


def around(
    elements: Sequence[TrackedElement], odom_T_ego: NDArray[np.float64], grid: BevGrid
) -> tuple[MapElement, ...]:
    """Ego metres, V x 2, cut to `grid`; numbers stay, the parts of a cut element share theirs."""
    ego_T_odom = inverse(odom_T_ego)
    x_min, y_min, x_max, y_max = grid.bounds
    found: list[MapElement] = []
    for element in elements:
        xy = apply_planar(ego_T_odom, element.vertices_m[:, :2])
        low, high = xy.min(0), xy.max(0)
        if low[0] < x_max and high[0] > x_min and low[1] < y_max and high[1] > y_min:
            found += clip(replace(element, vertices_m=xy, stddev_m=None), grid)
    return tuple(found)
