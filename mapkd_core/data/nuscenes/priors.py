# SPDX-License-Identifier: Apache-2.0
"""Map priors of one scene for its samples: SD roads from OpenStreetMap extracts, HD from another map or a damaged one.

A prior that is the truth would be copied, so an HD map of today comes with the errors of `worlds.priors.hd`, of
a level; an older map comes as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.data.nuscenes import devkit
from mapkd_core.data.nuscenes.dataset import NuScenesSet
from mapkd_core.data.nuscenes.map_layers import MapLayers
from mapkd_core.data.sd_map import SdRoad
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.priors.hd import LEVELS, damaged
from mapkd_core.worlds.road_map import Line, RoadMap

SD_ENDINGS = (".geojson", ".osm", ".xml")
_RIM_M = 20.0  # beyond the reach, so that a map that is shifted has no edge inside


def sd_files(folder: Path, cities: Sequence[str]) -> dict[str, Path]:
    """City -> its extract, <city>.geojson or .osm in `folder`. FileNotFoundError names the first that is missing."""
    found = {}
    for city in cities:
        there = [path for ending in SD_ENDINGS if (path := folder / f"{city}{ending}").is_file()]
        if not there:
            raise FileNotFoundError(
                f"{folder / city}.osm: no SD map of {city}; export its `highway` ways from OpenStreetMap, as .osm or "
                ".geojson, or leave --sd out"
            )
        found[city] = there[0]
    return found


def roads_near(roads: Sequence[SdRoad], track: NDArray[np.float64], reach: BevGrid) -> tuple[SdRoad, ...]:
    """Those whose box touches what the drive `track` (N 2, map frame) can see: of a city's roads few do."""
    x0, y0, x1, y1 = _window(track, reach)
    boxes = [(*road.vertices_m.min(0), *road.vertices_m.max(0)) for road in roads]
    return tuple(
        road
        for road, (u0, v0, u1, v1) in zip(roads, boxes, strict=True)
        if u0 <= x1 and u1 >= x0 and v0 <= y1 and v1 >= y0
    )


def hd_map(dataset: NuScenesSet, scene: str, hd: str, track: NDArray[np.float64], reach: BevGrid) -> RoadMap:
    """The prior around a drive. hd: a level of `worlds.priors.hd`, or a dataset's folder with another map expansion.

    A level's errors are drawn for each scene anew, the same in every run.
    """
    if hd not in LEVELS:
        return _other_map(Path(hd), dataset.location(scene))
    here = _around(dataset.layers(scene).road_map, track, reach)
    return damaged(here, hd, zlib.crc32(scene.encode())).road_map


@lru_cache(maxsize=4)
def _other_map(root: Path, location: str) -> RoadMap:
    return MapLayers(devkit.open_map(root, location)).road_map


def _around(city: RoadMap, track: NDArray[np.float64], reach: BevGrid) -> RoadMap:
    """What of a city's map lies near the drive; errors of a map are drawn around the drive's middle."""
    window = _window(track, reach)
    ego = np.column_stack([np.arange(len(track)), track, np.zeros(len(track))])
    crossings = [ring for ring in city.crossings if shapely.box(*window).intersects(shapely.Polygon(ring))]
    return replace(
        city, dividers=_cut(city.dividers, window), boundaries=_cut(city.boundaries, window),
        crossings=tuple(crossings), ego=ego,
    )  # fmt: skip


def _cut(lines: Sequence[Line], window: tuple[float, float, float, float]) -> tuple[Line, ...]:
    parts = shapely.get_parts(shapely.clip_by_rect([shapely.LineString(line) for line in lines], *window))
    return tuple(shapely.get_coordinates(part) for part in parts if part.geom_type == "LineString" and part.length > 0)


def _window(track: NDArray[np.float64], reach: BevGrid) -> tuple[float, float, float, float]:
    """x_min y_min x_max y_max in the map frame of all that `reach` covers along the drive, at any heading."""
    far = float(np.hypot(np.abs(reach.bounds[::2]).max(), np.abs(reach.bounds[1::2]).max())) + _RIM_M
    (x0, y0), (x1, y1) = track.min(0) - far, track.max(0) + far
    return float(x0), float(y0), float(x1), float(y1)
