# SPDX-License-Identifier: Apache-2.0
"""Map elements cut to a rectangle of the ego frame. One element may fall into several parts, or into none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import shapely

from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

MIN_LENGTH_M = 1.0
MIN_AREA_M2 = 0.5


def clip(
    element: MapElement, grid: BevGrid, min_length_m: float = MIN_LENGTH_M, min_area_m2: float = MIN_AREA_M2
) -> list[MapElement]:
    """The parts of an element inside the grid; a cut crossing is the outline of its part inside, a cut line is open.

    Parts of lines shorter than `min_length_m` and parts of crossings smaller than `min_area_m2` are left out.
    """
    vertices = np.asarray(element.vertices_m, np.float64)
    if element.class_name == "ped_crossing" and len(vertices) > 2:
        cut = shapely.intersection(shapely.make_valid(shapely.Polygon(vertices)), shapely.box(*grid.bounds))
        parts = [p for p in shapely.get_parts(cut) if p.geom_type == "Polygon" and p.area >= min_area_m2]
        return [replace(element, vertices_m=shapely.get_coordinates(p.exterior)[:-1], is_closed=True) for p in parts]
    line = shapely.LineString(np.concatenate([vertices, vertices[:1]]) if element.is_closed else vertices)
    cut = shapely.clip_by_rect(line, *grid.bounds)
    merged = shapely.line_merge(cut) if cut.geom_type == "MultiLineString" else cut
    lines = [p for p in shapely.get_parts(merged) if p.geom_type == "LineString" and p.length >= min_length_m]
    return [_line(element, part) for part in lines]


def clip_outside(elements: Iterable[MapElement], grid: BevGrid) -> tuple[MapElement, ...]:
    """Elements that lie inside as they are; the others by their parts inside, however short. For scoring."""
    inside: list[MapElement] = []
    for element in elements:
        x, y = element.vertices_m[:, 0], element.vertices_m[:, 1]
        if x.min() >= grid.x_min and x.max() <= grid.x_max and y.min() >= grid.y_min and y.max() <= grid.y_max:
            inside.append(element)
        else:
            inside.extend(clip(element, grid, min_length_m=1e-6, min_area_m2=1e-6))
    return tuple(inside)


def _line(element: MapElement, part: shapely.LineString) -> MapElement:
    vertices = shapely.get_coordinates(part)
    closed = bool(part.is_ring)
    return replace(element, vertices_m=vertices[:-1] if closed else vertices, is_closed=closed)
