# SPDX-License-Identifier: Apache-2.0
"""What maps from before the drive say of a world, once for the whole drive: the priors that a teacher gets in a bag."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement
from mapkd_core.worlds.priors.hd import damaged
from mapkd_core.worlds.priors.local import local_hd, local_sd
from mapkd_core.worlds.road_map import RoadMap

REACH_M = 150.0  # beyond the drive on each side
HD_LEVEL = "aged"


class DrivePriors(NamedTuple):
    """sd: roads of a navigation map; hd: elements of an HD map that is out of date. All inside `grid`, map frame."""

    sd: tuple[MapElement, ...]
    hd: tuple[MapElement, ...]
    grid: BevGrid


def drive_priors(road_map: RoadMap, seed: int) -> DrivePriors:
    """Both priors REACH_M around the drive of `road_map`; the same arguments give the same damage."""
    low, high = road_map.ego[:, 1:3].min(0) - REACH_M, road_map.ego[:, 1:3].max(0) + REACH_M
    (x_min, y_min), (x_max, y_max) = np.floor(low).tolist(), np.ceil(high).tolist()
    grid = BevGrid(x_min, x_max, y_min, y_max, 1.0)
    here = np.eye(4)  # the map's own frame
    hd = local_hd(damaged(road_map, HD_LEVEL, seed), here, grid)
    return DrivePriors(local_sd(road_map, here, grid), hd, grid)
