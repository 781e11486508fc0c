# SPDX-License-Identifier: Apache-2.0
"""The layers of one city that map vectors come from, as shapely geometries with a tree over each.

Map frame: metres, x east, y north. `NuScenesMap` of the devkit reads the file; a query here is a tree look-up, where
the devkit's own walks over all records of the city.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core import geometry
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.road_map import RoadMap

DIVIDER_LAYERS = ("road_divider", "lane_divider")
ROAD_LAYERS = ("road_segment", "lane")
POLYGON_LAYERS = (*ROAD_LAYERS, "ped_crossing")
AREA_LAYERS = ("drivable_area", "walkway", "stop_line", "carpark_area")  # read when they are first asked for


class MapLayers:
    """Geometries of a city; polygons that are not valid are left out, as in the devkit's own queries."""

    def __init__(self, nusc_map: Any) -> None:
        self.location, self._map = str(nusc_map.map_name), nusc_map
        self.geometries: dict[str, NDArray[np.object_]] = {}
        for layer in DIVIDER_LAYERS:
            lines = [nusc_map.extract_line(record["line_token"]) for record in getattr(nusc_map, layer)]
            self.geometries[layer] = np.array([line for line in lines if not line.is_empty], object)
        for layer in POLYGON_LAYERS:
            polygons = [nusc_map.extract_polygon(record["polygon_token"]) for record in getattr(nusc_map, layer)]
            self.geometries[layer] = np.array([p for p in polygons if p.is_valid and not p.is_empty], object)
        self._trees = {layer: shapely.STRtree(found) for layer, found in self.geometries.items()}

    def local(self, layer: str, map_T_ego: NDArray[np.float64], grid: BevGrid) -> list[shapely.Geometry]:
        """Records of a layer that touch the grid, whole, in the ego frame of the planar pose `map_T_ego`."""
        if layer in AREA_LAYERS and layer not in self.geometries:
            self._add_areas(layer)
        corners = np.array(shapely.box(*grid.bounds).exterior.coords)
        window = shapely.Polygon(geometry.apply_planar(map_T_ego, corners))
        found = self.geometries[layer][np.sort(self._trees[layer].query(window, predicate="intersects"))]
        ego_T_map = geometry.inverse(map_T_ego)
        return [shapely.transform(each, lambda xy: geometry.apply_planar(ego_T_map, xy)) for each in found]

    def _add_areas(self, layer: str) -> None:
        records = getattr(self._map, layer)
        tokens = [token for record in records for token in record.get("polygon_tokens") or [record["polygon_token"]]]
        polygons = [self._map.extract_polygon(token) for token in tokens]
        self.geometries[layer] = np.array([p for p in polygons if p.is_valid and not p.is_empty], object)
        self._trees[layer] = shapely.STRtree(self.geometries[layer])

    @cached_property
    def road_map(self) -> RoadMap:
        """The whole city as our own map; boundaries are the contour of road_segment and lane, road on their right."""
        lines = [g for layer in DIVIDER_LAYERS for g in self.geometries[layer]]
        road = shapely.union_all(np.concatenate([self.geometries[layer] for layer in ROAD_LAYERS]))
        return RoadMap(
            name=self.location,
            dividers=tuple(shapely.get_coordinates(part) for part in shapely.get_parts(lines)),
            boundaries=tuple(shapely.get_coordinates(ring) for ring in contours(road)),
            crossings=tuple(shapely.get_coordinates(p.exterior)[:-1] for p in self.geometries["ped_crossing"]),
            centrelines=(),
            ego=np.zeros((1, 4)),
            location=self.location,
        )


def contours(area: shapely.Geometry) -> list[shapely.LineString]:
    """Rings of all polygons of an area, as closed lines with the area on their right (nuScenes' sense)."""
    polygons = [part for part in shapely.get_parts(area) if part.geom_type == "Polygon" and part.area > 0]
    oriented = [shapely.geometry.polygon.orient(polygon, sign=-1.0) for polygon in polygons]
    return [shapely.LineString(ring.coords) for polygon in oriented for ring in (polygon.exterior, *polygon.interiors)]
