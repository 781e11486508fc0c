# SPDX-License-Identifier: Apache-2.0
"""Map vectors around a pose by the published rules, selectable by name; the result is always in the ego frame.

divider    all: each record of road_divider and lane_divider cut to the range (`ours` joins those that continue).
boundary   all: contour of the union of road_segment and lane. The peers cut it to a range that is 0.2 m smaller on each
           side, since they cut the polygons first and must drop the edges that this makes; ours cuts the contour.
crossing   hdmapnet (also P-MapNet): the two longest edges of each polygon, as two open lines.
           maptr: contour of the union of all polygons cut to the range, closed.
           streammapnet: polygons cut to the range; those whose boxes touch and whose long sides are nearly parallel
           (1 - |cos| < 0.01) become one; closed outlines.
           ours: outline of each polygon cut to the range, closed.

Sources: HDMapNet (arXiv:2107.06307), MapTR (2208.14437), StreamMapNet (2308.12570), P-MapNet (2403.10521) and what
their released code does. MapTR takes its range around the LiDAR; here it is around the ego origin for all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.data.nuscenes.map_layers import DIVIDER_LAYERS, ROAD_LAYERS, MapLayers, contours
from mapkd_core.geometry import Matrix
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement
from mapkd_core.worlds.truth import local_elements

PEERS_MARGIN_M = 0.2
PARALLEL = 0.01  # of 1 - |cos|: 8 degrees


def map_vectors(layers: MapLayers, map_T_ego: Matrix, grid: BevGrid, rules: str = "ours") -> tuple[MapElement, ...]:
    """Elements inside `grid` at the planar pose `map_T_ego` (4x4), ego metres. Raises ValueError for unknown rules."""
    if rules not in RULES:
        raise ValueError(f"unknown rules {rules!r}; known: {', '.join(RULES)}")
    if rules == "ours":
        return local_elements(layers.road_map, map_T_ego, grid)
    window = shapely.box(*grid.bounds)
    lines = [line for layer in DIVIDER_LAYERS for line in layers.local(layer, map_T_ego, grid)]
    road = shapely.union_all([p for layer in ROAD_LAYERS for p in layers.local(layer, map_T_ego, grid)])
    crossings = RULES[rules](layers.local("ped_crossing", map_T_ego, grid), window)
    return (
        *[element for line in lines for element in _cut("divider", line, window)],
        *crossings,
        *[element for ring in contours(road) for element in _cut("boundary", ring, window.buffer(-PEERS_MARGIN_M))],
    )


def two_longest_edges(polygons: list[shapely.Polygon], window: shapely.Polygon) -> list[MapElement]:
    """HDMapNet's crossings: edges of the whole polygon, each cut to the window by itself."""
    found = []
    for polygon in polygons:
        vertices = shapely.get_coordinates(polygon.exterior)
        lengths = np.hypot(*np.diff(vertices, axis=0).T)
        for i in np.argsort(lengths, kind="stable")[-2:]:
            found += _cut("ped_crossing", shapely.LineString(vertices[i : i + 2]), window)
    return found


def united(polygons: list[shapely.Polygon], window: shapely.Polygon) -> list[MapElement]:
    """MapTR's crossings: rings of the union, holes included."""
    union = shapely.union_all([shapely.intersection(polygon, window) for polygon in polygons])
    return [_closed(ring) for ring in contours(union)]


def merged_if_parallel(polygons: list[shapely.Polygon], window: shapely.Polygon) -> list[MapElement]:
    """StreamMapNet's crossings: one pass in the order of the map; each polygon takes in its parallel neighbours."""
    parts = [p for polygon in polygons for p in shapely.get_parts(shapely.intersection(polygon, window))]
    parts = [part for part in parts if part.geom_type == "Polygon" and part.area > 0]
    tree, left, merged = shapely.STRtree(parts), set(range(len(parts))), []
    for i, part in enumerate(parts):
        if i not in left:
            continue
        near = [j for j in sorted(tree.query(part)) if j in left and (j == i or _are_parallel(part, parts[j]))]
        left -= set(near)
        merged.append(shapely.union_all([parts[j] for j in near]))
    outlines = [shapely.LineString(p.exterior.coords) for area in merged for p in shapely.get_parts(area)]
    return [_closed(outline) for outline in outlines]


def _are_parallel(one: shapely.Polygon, other: shapely.Polygon) -> bool:
    a, b = _long_side(one), _long_side(other)
    return bool(1 - abs(a @ b) < PARALLEL)


def _long_side(polygon: shapely.Polygon) -> NDArray[np.float64]:
    """Unit vector along the longer side of the smallest rectangle around a polygon."""
    sides = np.diff(shapely.get_coordinates(polygon.minimum_rotated_rectangle)[:3], axis=0)
    lengths = np.hypot(*sides.T)
    return sides[lengths.argmax()] / lengths.max()


def _closed(ring: shapely.LineString) -> MapElement:
    return MapElement("ped_crossing", shapely.get_coordinates(ring)[:-1], is_closed=True)


def _cut(name: str, line: shapely.LineString, window: shapely.Polygon) -> list[MapElement]:
    """The parts of a line inside; a ring wholly inside stays closed, one that starts inside is joined at its start."""
    inside = shapely.intersection(line, window)
    parts = shapely.get_parts(shapely.line_merge(inside) if inside.geom_type == "MultiLineString" else inside)
    elements = []
    for part in parts:
        if part.geom_type == "LineString" and part.length > 0:
            vertices = shapely.get_coordinates(part)
            elements.append(MapElement(name, vertices[:-1] if part.is_ring else vertices, bool(part.is_ring)))
    return elements


_Crossings = Callable[[list[shapely.Polygon], shapely.Polygon], list[MapElement]]
RULES: dict[str, _Crossings | None] = {
    "ours": None,
    "hdmapnet": two_longest_edges,
    "pmapnet": two_longest_edges,
    "maptr": united,
    "streammapnet": merged_if_parallel,
}
