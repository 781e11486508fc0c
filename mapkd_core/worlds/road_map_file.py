# SPDX-License-Identifier: Apache-2.0
"""The open road-map format: gzipped JSON, described in docs/formats.md."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.reading import parse_json
from mapkd_core.worlds.road_map import Agent, RoadMap
from mapkd_core.worlds.road_map_content import road_map_of
from mapkd_core.writing import aside

MAX_BYTES = 200 * 2**20  # of JSON after decompression: a map is 1 MB, and a small bad file must not fill the memory
UNITS = (
    "metres in the map frame (x east, y north); yaw in radians; ego rows are [t_s,x,y,yaw] at 10 Hz; "
    "agent poses are [ego_row_index,x,y,yaw]"
)


def load(path: Path | str) -> RoadMap:
    """Read a `*.json.gz` road map.

    FileNotFoundError without the file; ValueError, naming the file, the key and the remedy, when it is no gzip, cut
    off, larger than MAX_BYTES, no JSON, or a key is missing, of the wrong shape or not finite.
    """
    path = Path(path)
    text = _decompressed(path)
    try:
        content = parse_json(text, "it", parse_constant=lambda name: float(name.replace("Infinity", "inf")))
    except ValueError as error:
        raise ValueError(f"{path}: no JSON inside the gzip ({error}); write it with road_map_file.save") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: the JSON is a {type(content).__name__}, not an object; see docs/formats.md")
    try:
        return road_map_of(content, path.name.removesuffix(".gz").removesuffix(".json"))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}; see docs/formats.md") from error


def save(road_map: RoadMap, path: Path | str) -> None:
    """Write the format that `load` reads, coordinates to the millimetre; the file appears whole or not at all.

    The same map gives the same bytes (no time stamp in the gzip header).
    """
    path = Path(path)
    content = {
        "scene": road_map.name,
        "location": road_map.location,
        "units": UNITS,
        "classes_labelled": list(road_map.labelled),
        "divider": [_rounded(line) for line in road_map.dividers],
        "boundary": [_rounded(line) for line in road_map.boundaries],
        "ped_crossing": [_rounded(np.vstack([ring, ring[:1]])) for ring in road_map.crossings],
        "lane_centerline": [_rounded(line) for line in road_map.centrelines],
        "sd_road": _sd_road_rows(road_map),
        "ego": _rounded(road_map.ego, 5),
        "agents": [_agent_row(agent, road_map.ego[:, 0]) for agent in road_map.agents],
    }
    if road_map.drivable is not None:
        rings = [[part.exterior, *part.interiors] for part in road_map.drivable.geoms]
        content["drivable"] = [[_rounded(shapely.get_coordinates(ring)) for ring in part] for part in rings]
    if road_map.licence:
        content["licence"] = road_map.licence
    with aside(path) as unfinished:
        unfinished.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))


def _decompressed(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such road map; give a *.json.gz file")
    try:
        with gzip.open(path) as stream:
            text = stream.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error}); copy it again, or gzip the JSON") from error
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"{path}: more than {MAX_BYTES >> 20} MB of JSON; cut the map to the surroundings of the drive"
        )
    return text


def _agent_row(agent: Agent, times: NDArray[np.float64]) -> dict[str, Any]:
    poses = agent.poses.copy()
    poses[:, 0] = np.interp(poses[:, 0], times, np.arange(len(times)))
    size = {"length": agent.length, "width": agent.width, "height": agent.height}
    return {"type": agent.kind, **{k: round(float(v), 3) for k, v in size.items()}, "poses": _rounded(poses, 5)}


def _sd_road_rows(road_map: RoadMap) -> list[dict[str, Any]]:
    types = road_map.sd_road_types or ("road",) * len(road_map.sd_roads)
    return [{"type": t, "points": _rounded(line)} for t, line in zip(types, road_map.sd_roads, strict=True)]


def _rounded(array: NDArray[np.float64], digits: int = 3) -> list[list[float]]:
    return np.round(array, digits).tolist()
