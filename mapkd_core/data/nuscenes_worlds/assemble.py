# SPDX-License-Identifier: Apache-2.0
"""Scenes, each with records in a map frame of its own, put together into one dataset: tables, maps, splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mapkd_core.data.nuscenes.devkit import LOCATIONS, MAP_VERSION, TABLES
from mapkd_core.data.nuscenes.origins import to_degrees
from mapkd_core.data.nuscenes_worlds.base_mask import write_mask
from mapkd_core.data.nuscenes_worlds.map_records import LAYERS
from mapkd_core.data.nuscenes_worlds.map_records import TABLES as MAP_TABLES
from mapkd_core.data.nuscenes_worlds.tables import shared_tables
from mapkd_core.data.nuscenes_worlds.tokens import token

GAP_M, ROW_M = 100.0, 3000.0  # between two worlds of a city; how long a row of worlds gets
SPLIT_NAMES = {"training": "mapkd_train", "validation": "mapkd_val", "test": "mapkd_test", "demo": "mapkd_demo"}

Part = dict[str, Any]  # what `scene.write_scene` returns


def assemble(root: Path, version: str, parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Write all but pictures and sweeps; returns scene name -> facts for the manifest."""
    tables: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES} | shared_tables()
    facts: dict[str, dict[str, Any]] = {}
    for city in LOCATIONS:
        own = [part for part in parts if part["city"] == city]
        offsets, canvas = places([part["bounds"] for part in own])
        for part, offset in zip(own, offsets, strict=True):
            facts[part["name"]] = {
                "split": part["split"], "labelled": part["labelled"], "seed": part["seed"], "map_offset_m": offset,
            }  # fmt: skip
            _shift(part, np.array(offset))
        _write_json(root / "maps" / "expansion" / f"{city}.json", _expansion(own, canvas))
        if own:
            tables["map"].append(_map_row(root, city, own, canvas))
            roads = _sd_roads(own, city)
            if roads["features"]:  # a file without roads is refused when it is read
                _write_json(root / "maps" / "sd" / f"{city}.geojson", roads)
    for part in parts:
        for table, rows in part["tables"].items():
            tables[table] += rows
    for table in TABLES:
        _write_json(root / version / f"{table}.json", tables[table])
    names = {SPLIT_NAMES[part["split"]] for part in parts}
    splits = {name: [p["name"] for p in parts if SPLIT_NAMES[p["split"]] == name] for name in sorted(names)}
    _write_json(root / version / "splits.json", splits)
    return {part["name"]: facts[part["name"]] for part in parts}


def places(bounds: Sequence[Sequence[float]]) -> tuple[list[list[float]], tuple[float, float]]:
    """Whole metres to shift each world by, so that none overlaps another and all lie at x, y > 0; and the canvas."""
    x = y = row_height = 0.0
    offsets, canvas = [], np.array([1.0, 1.0])
    for x0, y0, x1, y1 in bounds:
        width, height = np.ceil(x1 - x0) + GAP_M, np.ceil(y1 - y0) + GAP_M
        if x > 0 and x + width > ROW_M:
            x, y, row_height = 0.0, y + row_height, 0.0
        offsets.append([float(np.floor(x + GAP_M / 2 - x0)), float(np.floor(y + GAP_M / 2 - y0))])
        x, row_height = x + width, max(row_height, height)
        canvas = np.maximum(canvas, [x, y + row_height])
    return offsets, (float(canvas[0]), float(canvas[1]))


def _shift(part: Part, offset: np.ndarray) -> None:
    """From the world's map frame into that of its city, in place."""
    for table in ("ego_pose", "sample_annotation"):
        for row in part["tables"][table]:
            row["translation"] = [row["translation"][0] + offset[0], row["translation"][1] + offset[1],
                                  row["translation"][2]]  # fmt: skip
    for node in part["map"]["node"]:
        node["x"], node["y"] = node["x"] + offset[0], node["y"] + offset[1]
    for paths in part["map"]["arcline_path_3"].values():
        for path in paths:
            for key in ("start_pose", "end_pose"):
                path[key] = [path[key][0] + offset[0], path[key][1] + offset[1], path[key][2]]
    for road in part["sd"]:
        road["points"] = (np.array(road["points"]).reshape(-1, 2) + offset).tolist()


def _expansion(parts: Sequence[Part], canvas: tuple[float, float]) -> dict[str, Any]:
    content: dict[str, Any] = {"version": MAP_VERSION, "canvas_edge": list(canvas)}
    content |= {layer: [record for part in parts for record in part["map"][layer]] for layer in LAYERS}
    for table in MAP_TABLES:
        content[table] = {key: value for part in parts for key, value in part["map"][table].items()}
    return content


def _map_row(root: Path, city: str, parts: Sequence[Part], canvas: tuple[float, float]) -> dict[str, Any]:
    name = token("map", city)
    roads = [polygon for part in parts for polygon in _road_polygons(part)]
    write_mask(root / "maps" / f"{name}.png", roads, canvas)
    logs = [part["tables"]["log"][0]["token"] for part in parts]
    return {"token": name, "log_tokens": logs, "category": "semantic_prior", "filename": f"maps/{name}.png"}


def _road_polygons(part: Part) -> list[shapely.Polygon]:
    nodes = {node["token"]: (node["x"], node["y"]) for node in part["map"]["node"]}
    records = {record["token"]: record for record in part["map"]["polygon"]}
    found = []
    for segment in part["map"]["road_segment"]:
        record = records[segment["polygon_token"]]
        rings = [record["exterior_node_tokens"], *[hole["node_tokens"] for hole in record["holes"]]]
        shell, *holes = [[nodes[node] for node in ring] for ring in rings]
        found.append(shapely.Polygon(shell, holes))
    return found


def _sd_roads(parts: Sequence[Part], city: str) -> dict[str, Any]:
    """Coarse road lines as an OpenStreetMap extract would have them: GeoJSON in degrees."""
    features = [
        {
            "type": "Feature",
            "properties": {"highway": road["highway"], "scene": part["name"], "licence": part["licence"]},
            "geometry": {"type": "LineString", "coordinates": to_degrees(city, road["points"]).round(9).tolist()},
        }
        for part in parts
        for road in part["sd"]
    ]
    return {"type": "FeatureCollection", "features": features}


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, separators=(",", ":")))
