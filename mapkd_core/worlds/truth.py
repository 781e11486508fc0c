# SPDX-License-Identifier: Apache-2.0
"""What a perfect mapper would answer at one pose: the road map cut to the grid, in the ego frame."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from mapkd_core import geometry
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.worlds.road_map import RoadMap

# Corner cuts shorter than this are seven cells at most: they carry no shape, every protocol's loosest threshold
# (1.5 m) matches them with anything near, and they would count as whole elements in AP.
MIN_LENGTH_M = 1.0
MIN_AREA_M2 = 0.5


def local_elements(road_map: RoadMap, map_T_ego: ArrayLike, grid: BevGrid) -> tuple[MapElement, ...]:
    """Elements inside `grid` at the planar pose map_T_ego (4x4), ego metres, in the order of CLASSES.

    A line that leaves and re-enters gives several elements. A crossing cut by the range is the closed outline of the
    part inside (MapTR's rule); a boundary ring wholly inside is closed, one that is cut gives open lines.
    """
    pose = np.asarray(map_T_ego, np.float64)
    ego_T_map = geometry.inverse(pose)
    corners = np.array(shapely.box(*grid.bounds).exterior.coords)
    window = shapely.Polygon(geometry.apply_planar(pose, corners))
    elements: list[MapElement] = []
    for name in CLASSES:
        geometries, tree = road_map.layers[name]
        for found in geometries[np.sort(tree.query(window))]:
            local = shapely.transform(found, lambda xy: geometry.apply_planar(ego_T_map, xy))
            cut = _cut_polygon(local, grid) if name == "ped_crossing" else _cut_line(local, grid)
            elements += [MapElement(name, vertices, closed) for vertices, closed in cut]
    return tuple(elements)


def _cut_line(line: shapely.LineString, grid: BevGrid) -> list[tuple[NDArray[np.float64], bool]]:
    inside = shapely.clip_by_rect(line, *grid.bounds)
    # A ring that starts inside is cut at its start: line_merge joins the two halves again.
    parts = shapely.get_parts(shapely.line_merge(inside)) if inside.geom_type == "MultiLineString" else [inside]
    cut = []
    for part in parts:
        if part.geom_type not in ("LineString", "LinearRing") or part.length < MIN_LENGTH_M:
            continue
        vertices = shapely.get_coordinates(part)
        cut.append((vertices[:-1], True) if part.is_ring else (vertices, False))
    return cut


def _cut_polygon(polygon: shapely.Polygon, grid: BevGrid) -> list[tuple[NDArray[np.float64], bool]]:
    parts = shapely.get_parts(shapely.intersection(polygon, shapely.box(*grid.bounds)))
    solid = [part for part in parts if part.geom_type == "Polygon" and part.area >= MIN_AREA_M2]
    return [(shapely.get_coordinates(part.exterior)[:-1], True) for part in solid]
