# SPDX-License-Identifier: Apache-2.0
"""Layers of a road map at one pose: drivable area, crossings and dividers; of other layers our maps know nothing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import ArrayLike

from mapkd_core import geometry
from mapkd_core.data.layers import LayerTruth, area_elements
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.truth import local_elements


def local_layers(road_map: RoadMap, map_T_ego: ArrayLike, grid: BevGrid) -> LayerTruth:
    """What lies inside `grid` at the planar pose map_T_ego (4x4), ego metres.

    The drivable area is known where the map gives it or its boundaries, the others where they are labelled.
    """
    ego_T_map = geometry.inverse(np.asarray(map_T_ego, np.float64))
    is_known = {
        "drivable_area": road_map.drivable is not None or "boundary" in road_map.labelled,
        "ped_crossing": "ped_crossing" in road_map.labelled,
        "divider": "divider" in road_map.labelled,
    }
    elements = [e for e in local_elements(road_map, map_T_ego, grid) if e.class_name == "divider"]
    for name, area in _areas(road_map).items():
        local = shapely.transform(area, lambda xy: geometry.apply_planar(ego_T_map, xy))
        elements += area_elements(name, local, grid)
    known = tuple(name for name, is_there in is_known.items() if is_there)
    return LayerTruth(tuple(e for e in elements if e.class_name in known), known)


@lru_cache(maxsize=4)
def _areas(road_map: RoadMap) -> dict[str, shapely.Geometry]:
    """Of the whole map, each made valid and united."""
    crossings, _ = road_map.layers["ped_crossing"]
    road = shapely.make_valid(drivable_area(road_map))
    return {"drivable_area": road, "ped_crossing": shapely.union_all(crossings)}
