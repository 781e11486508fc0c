# SPDX-License-Identifier: Apache-2.0
"""The LiDAR of a world without its pictures: what takes the renderer seconds to paint is left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.appearance import Look, draw_look
from mapkd_core.worlds.area import drivable_area, grid_around
from mapkd_core.worlds.ground import LOW_CELL_M, GroundPainter
from mapkd_core.worlds.lidar.sensor import MOUNT
from mapkd_core.worlds.lidar.sweep import Lidar
from mapkd_core.worlds.relief import FLAT, Relief
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.roadside import build_roadside
from mapkd_core.worlds.solids import ROADSIDE_STREAM

_FAR_MARGIN_M, _PAINT_MARGIN_M, _PAINT_CELL_M = 160.0, 66.0, 0.1


def lidar_of_world(
    road_map: RoadMap,
    seed: int,
    look: Look | None = None,
    ego_T_lidar: NDArray[np.float64] = MOUNT,
    relief: Relief = FLAT,
) -> Lidar:
    """What `Renderer(road_map, seed, look, lidar_sweeps=1)` casts with: kerbs, trees and paint in the same places.

    relief: FLAT is for poses that are planar; the renderer's own is `draw_relief(seed)`.
    """
    look = look or draw_look(seed)
    area = drivable_area(road_map)
    low = grid_around(road_map.ego, _FAR_MARGIN_M, LOW_CELL_M)
    painter = GroundPainter(road_map, area, look, seed, low)
    roadside = build_roadside(painter.distance, low, road_map.ego, look, np.random.default_rng([seed, ROADSIDE_STREAM]))
    grid = grid_around(road_map.ego, _PAINT_MARGIN_M, _PAINT_CELL_M)
    coverage = painter.coverage(grid)
    return Lidar(
        roadside, area, coverage, grid, look.kerb_height_m, seed=seed, wet=look.wet, ego_T_lidar=ego_T_lidar,
        dropped=painter.dropped, relief=relief,
    )  # fmt: skip
