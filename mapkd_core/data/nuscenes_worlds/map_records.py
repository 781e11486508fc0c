# SPDX-License-Identifier: Apache-2.0
"""A road map as records of nuScenes' map expansion v1.3, still in the world's own map frame.

road_segment is the road area (its contour is the boundary), ped_crossing the crossings, lane_divider and road_divider
the dividers (see `lanes.separates_directions`), lane a strip around each centreline with its arcline path. What a
`RoadMap` does not know (walkways, stop lines, traffic lights, car parks, road blocks) stays empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.data.nuscenes_worlds import lanes
from mapkd_core.data.nuscenes_worlds.tokens import token
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.road_map import RoadMap

LAYERS = (
    "polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "ped_crossing", "walkway",
    "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light", "lane_connector",
)  # fmt: skip
TABLES = ("arcline_path_3", "connectivity")
# A millimetre that floats hold exactly: polygons that are valid stay valid when they are shifted by whole metres.
GRID_M = 2.0**-10


class MapRecords:
    """Collects the records of one world; `content` is ready for JSON."""

    def __init__(self, world: str) -> None:
        self._world = world
        self.content: dict[str, Any] = {layer: [] for layer in LAYERS} | {table: {} for table in TABLES}

    def add_line(self, vertices: NDArray[np.float64]) -> str:
        """A line record; its token."""
        name = self._token("line")
        self.content["line"].append({"token": name, "node_tokens": self._nodes(snapped(vertices))})
        return name

    def add_polygon(self, polygon: shapely.Polygon) -> str:
        """A polygon record with its holes; its token. Rings come without their repeated first vertex."""
        name = self._token("polygon")
        rings = [self._nodes(shapely.get_coordinates(ring)[:-1]) for ring in (polygon.exterior, *polygon.interiors)]
        holes = [{"node_tokens": nodes} for nodes in rings[1:]]
        self.content["polygon"].append({"token": name, "exterior_node_tokens": rings[0], "holes": holes})
        return name

    def add(self, layer: str, **fields: Any) -> str:
        """A record of a layer that refers to geometry; its token."""
        name = self._token(layer)
        self.content[layer].append({"token": name, **fields})
        return name

    def _nodes(self, vertices: NDArray[np.float64]) -> list[str]:
        names = []
        for x, y in vertices.tolist():
            names.append(self._token("node"))
            self.content["node"].append({"token": names[-1], "x": x, "y": y})
        return names

    def _token(self, layer: str) -> str:
        return token(self._world, layer, len(self.content[layer]))


def map_records(road_map: RoadMap, world: str) -> dict[str, Any]:
    """All layers of a road map: layer -> records, and the tables of lanes."""
    records = MapRecords(world)
    road = valid_polygons(drivable_area(road_map))
    areas = [records.add_polygon(polygon) for polygon in road]
    drivable = records.add("drivable_area", polygon_tokens=areas)
    for area in areas:
        records.add("road_segment", polygon_token=area, is_intersection=False, drivable_area_token=drivable)
    for ring in road_map.crossings:
        for polygon in valid_polygons(shapely.Polygon(ring)):
            records.add("ped_crossing", polygon_token=records.add_polygon(polygon), road_segment_token="")
    directions = lanes.Directions(road_map.centrelines)
    for line in road_map.dividers:
        _add_divider(records, line, directions.are_opposite_beside(line))
    lanes.add_lanes(records, road_map.centrelines, shapely.union_all(road))
    return records.content


def valid_polygons(area: shapely.Geometry) -> list[shapely.Polygon]:
    """Polygons of an area on the grid of GRID_M, each valid: the devkit leaves invalid ones out without a word."""
    parts = shapely.get_parts(shapely.set_precision(shapely.make_valid(area), GRID_M))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def snapped(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vertices on the grid of GRID_M, repeated ones dropped."""
    rounded = np.round(np.asarray(vertices, np.float64) / GRID_M) * GRID_M
    moved = np.any(np.diff(rounded, axis=0) != 0, axis=1)
    return rounded[np.concatenate([[True], moved])] if moved.any() else rounded[:2]


def _add_divider(records: MapRecords, vertices: NDArray[np.float64], separates_directions: bool) -> None:
    line = records.add_line(vertices)
    layer = "road_divider" if separates_directions else "lane_divider"
    segments = [{"node_token": node, "segment_type": "NIL"} for node in records.content["line"][-1]["node_tokens"]]
    fields: dict[str, Any] = {"line_token": line, f"{layer}_segments": segments}
    if separates_directions:
        fields["road_segment_token"] = ""
    records.add(layer, **fields)
