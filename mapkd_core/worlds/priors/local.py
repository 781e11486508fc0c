# SPDX-License-Identifier: Apache-2.0
"""Priors around the vehicle, as a network takes them: polylines in ego metres cut to a grid, and as raster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from mapkd_core import geometry
from mapkd_core.data import rasterise
from mapkd_core.grid import BevGrid
from mapkd_core.types import SD_CLASS, MapElement
from mapkd_core.worlds.priors.hd import HdPrior
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.truth import local_elements

MIN_LENGTH_M = 1.0
# What a navigation map's footways and steps say about lanes is nothing.
_STREETS = ("motorway", "trunk", "primary", "secondary", "tertiary", "residential", "unclassified", "service", "road")


def local_sd(road_map: RoadMap, map_T_ego: ArrayLike, grid: BevGrid) -> tuple[MapElement, ...]:
    """SD roads inside `grid` at the planar pose map_T_ego (4x4): open lines of SD_CLASS in ego metres."""
    lines, tree = _streets(road_map)
    pose = np.asarray(map_T_ego, np.float64)
    ego_T_map = geometry.inverse(pose)
    window = shapely.Polygon(geometry.apply_planar(pose, np.array(shapely.box(*grid.bounds).exterior.coords)))
    found: list[MapElement] = []
    for line in lines[np.sort(tree.query(window))]:
        local = shapely.transform(line, lambda xy: geometry.apply_planar(ego_T_map, xy))
        parts = shapely.get_parts(shapely.clip_by_rect(local, *grid.bounds))
        kept = [p for p in parts if p.geom_type == "LineString" and p.length >= MIN_LENGTH_M]
        found += [MapElement(SD_CLASS, shapely.get_coordinates(part)) for part in kept]
    return tuple(found)


def local_hd(prior: HdPrior, map_T_ego: ArrayLike, grid: BevGrid) -> tuple[MapElement, ...]:
    """Elements that the prior has inside `grid` at the true pose: the vehicle does not know that the map is off."""
    return local_elements(prior.road_map, map_T_ego, grid)


def sd_layer(
    elements: Sequence[MapElement], grid: BevGrid, thickness: float = rasterise.THICKNESS
) -> NDArray[np.bool_]:
    """bool [Y, X]: the cells that SD roads cover; for HD elements there is `rasterise.layers`."""
    return rasterise.layers(elements, grid, (SD_CLASS,), thickness)[0]


@lru_cache(maxsize=16)
def _streets(road_map: RoadMap) -> tuple[NDArray[np.object_], shapely.STRtree]:
    """Lines of streets and a tree over them, kept for the frames of one drive."""
    kinds = road_map.sd_road_types or ("road",) * len(road_map.sd_roads)
    pairs = zip(road_map.sd_roads, kinds, strict=True)
    lines = [shapely.LineString(line) for line, kind in pairs if kind.removesuffix("_link") in _STREETS]
    return np.array(lines, object), shapely.STRtree(lines)
