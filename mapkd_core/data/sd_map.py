# SPDX-License-Identifier: Apache-2.0
"""SD maps: road lines of an OpenStreetMap extract in the metric map frame of a city, and around a vehicle.

Read are GeoJSON (LineStrings with a `highway` property, degrees, longitude first) and OSM XML (`.osm`, ways with a
`highway` tag). A drive of 20 s needs an extract of its surroundings only. OpenStreetMap data is ODbL 1.0: keep it
outside of this repository, and name its contributors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from mapkd_core import geometry
from mapkd_core.data.nuscenes.origins import ORIGINS, to_metres
from mapkd_core.grid import BevGrid
from mapkd_core.types import SD_CLASS, MapElement

REACH_M = 10_000.0  # from the origin of the city's map: the largest of nuScenes' maps is 3.7 km high
NOT_FOR_CARS = frozenset({
    "footway", "path", "steps", "cycleway", "pedestrian", "corridor", "bridleway", "proposed", "construction",
})  # fmt: skip


class SdRoad(NamedTuple):
    """highway: OpenStreetMap's value of that tag. vertices_m: V x 2 in the map frame."""

    highway: str
    vertices_m: NDArray[np.float64]


def read_sd_map(path: Path | str, location: str) -> tuple[SdRoad, ...]:
    """Roads for cars of an extract, in the map frame of `location`.

    FileNotFoundError without the file; ValueError where it is damaged, has no roads, or lies elsewhere on the globe.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such SD map; export one of {location} from OpenStreetMap")
    try:
        found = _osm_ways(path) if path.suffix.lower() in (".osm", ".xml") else _geojson_lines(path)
    except (json.JSONDecodeError, ElementTree.ParseError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: neither GeoJSON nor OSM XML ({error!r}); export it again") from error
    lines = [(kind, line) for kind, line in found if kind not in NOT_FOR_CARS and len(line) > 1]
    if not lines:
        raise ValueError(f"{path}: no lines with a highway tag for cars in it; export `highway` ways")
    roads = [SdRoad(kind, to_metres(location, line)) for kind, line in lines]
    near = tuple(road for road in roads if np.hypot(*road.vertices_m.T).min() < REACH_M)
    if not near:
        west, south, east, north = _bounds([line for _, line in lines])
        latitude, longitude = ORIGINS[location]
        raise ValueError(
            f"{path}: covers latitude {south:.3f}..{north:.3f}, longitude {west:.3f}..{east:.3f}, nothing within "
            f"{REACH_M / 1000:.0f} km of {location} ({latitude:.3f}, {longitude:.3f}); give the extract of that city"
        )
    return near


def sd_elements(roads: Sequence[SdRoad], map_T_ego: ArrayLike, grid: BevGrid) -> tuple[MapElement, ...]:
    """Roads inside `grid` at the planar pose map_T_ego (4x4), ego metres, as elements of SD_CLASS."""
    ego_T_map = geometry.inverse(map_T_ego)
    elements = []
    for road in roads:
        line = shapely.LineString(geometry.apply_planar(ego_T_map, road.vertices_m))
        inside = shapely.clip_by_rect(line, *grid.bounds)
        parts = [part for part in shapely.get_parts(inside) if part.geom_type == "LineString" and part.length > 0]
        elements += [MapElement(SD_CLASS, shapely.get_coordinates(part)) for part in parts]
    return tuple(elements)


def _geojson_lines(path: Path) -> list[tuple[str, NDArray[np.float64]]]:
    content: Any = json.loads(path.read_text())
    lines = []
    for feature in content["features"]:
        kind, shape = (feature.get("properties") or {}).get("highway"), feature.get("geometry") or {}
        if not kind or shape.get("type") not in ("LineString", "MultiLineString"):
            continue
        parts = [shape["coordinates"]] if shape["type"] == "LineString" else shape["coordinates"]
        lines += [(str(kind), _degrees([point[:2] for point in part])) for part in parts]
    return lines


def _osm_ways(path: Path) -> list[tuple[str, NDArray[np.float64]]]:
    root = ElementTree.parse(path).getroot()
    nodes = {
        node.get("id"): (float(node.get("lon", "nan")), float(node.get("lat", "nan"))) for node in root.iter("node")
    }
    lines = []
    for way in root.iter("way"):
        tags = {tag.get("k"): tag.get("v") for tag in way.iter("tag")}
        # An extract cut by a rectangle names nodes that lie outside and are not in it.
        points = [nodes[ref] for each in way.iter("nd") if (ref := each.get("ref")) in nodes]
        if tags.get("highway") and len(points) > 1:
            lines.append((str(tags["highway"]), _degrees(points)))
    return lines


def _degrees(points: Any) -> NDArray[np.float64]:
    array = np.array(points, np.float64).reshape(-1, 2)
    if not np.isfinite(array).all() or np.abs(array).max(axis=0, initial=0)[1] > 90:
        raise ValueError(f"coordinates {array[:2].tolist()}... are no longitude and latitude in degrees")
    return array


def _bounds(lines: Sequence[NDArray[np.float64]]) -> tuple[float, float, float, float]:
    points = np.concatenate(lines)
    (west, south), (east, north) = points.min(0), points.max(0)
    return west, south, east, north
