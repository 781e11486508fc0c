# SPDX-License-Identifier: Apache-2.0
"""The JSON of a road-map file as `RoadMap`, with everything checked that a reader relies on."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.types import CLASSES
from mapkd_core.worlds.road_map import Agent, Line, RoadMap

REQUIRED = ("divider", "boundary", "ped_crossing", "lane_centerline", "ego")


def road_map_of(content: dict[str, Any], fallback_name: str) -> RoadMap:
    """Raises ValueError, TypeError or KeyError with the key where one is missing, of the wrong shape or not finite."""
    if missing := [key for key in REQUIRED if key not in content]:
        raise ValueError(f"missing keys {missing}; found {sorted(content)}")
    _check_lists(content)
    labelled = tuple(content.get("classes_labelled", CLASSES))
    if unknown := [name for name in labelled if name not in CLASSES]:
        raise ValueError(f"classes_labelled has {unknown}; known classes are {list(CLASSES)}")
    ego = _array(content["ego"], 4, "ego", 1)
    if np.any(np.diff(ego[:, 0]) <= 0):
        raise ValueError(f"ego times do not rise strictly (row {int(np.argmax(np.diff(ego[:, 0]) <= 0)) + 1})")
    sd_roads = content.get("sd_road", [])
    return RoadMap(
        name=str(content.get("scene", fallback_name)),
        dividers=_lines(content, "divider", 2),
        boundaries=_lines(content, "boundary", 2),
        crossings=tuple(_opened(ring) for ring in _lines(content, "ped_crossing", 3)),
        centrelines=_lines(content, "lane_centerline", 2),
        ego=ego,
        agents=tuple(_agent(row, i, ego[:, 0]) for i, row in enumerate(content.get("agents", []))),
        sd_roads=tuple(_array(row["points"], 2, f"sd_road[{i}].points", 2) for i, row in enumerate(sd_roads)),
        labelled=labelled,
        drivable=_drivable(content["drivable"]) if "drivable" in content else None,
        sd_road_types=tuple(str(row["type"]) for row in sd_roads),
        location=str(content.get("location", "")),
        licence=str(content.get("licence", "")),
    )


def _check_lists(content: dict[str, Any]) -> None:
    for key in (*REQUIRED, "classes_labelled", "agents", "sd_road", "drivable"):
        if not isinstance(content.get(key, []), list):
            raise ValueError(f"{key} = {str(content[key])[:60]}, expected a list")
    for key, needed in (("agents", ()), ("sd_road", ("type", "points"))):
        for i, row in enumerate(content.get(key, [])):
            if not isinstance(row, dict) or not all(name in row for name in needed):
                raise ValueError(f"{key}[{i}] = {str(row)[:60]}, expected an object {' '.join(needed)}".rstrip())


def _array(rows: Any, columns: int, what: str, min_rows: int) -> NDArray[np.float64]:
    try:
        array = np.array(rows, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{what} is not a table of numbers ({error})") from error
    if array.ndim != 2 or array.shape[1] != columns or len(array) < min_rows:
        raise ValueError(f"{what} has shape {array.shape}; want at least {min_rows} rows of {columns}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} holds NaN or infinity in row {int(np.argmin(np.isfinite(array).all(1)))}")
    return array


def _lines(content: dict[str, Any], key: str, min_rows: int) -> tuple[Line, ...]:
    return tuple(_array(rows, 2, f"{key}[{i}]", min_rows) for i, rows in enumerate(content[key]))


def _opened(ring: Line) -> Line:
    """A ring without its repeated first vertex."""
    opened = ring[:-1] if np.array_equal(ring[0], ring[-1]) else ring
    if len(opened) < 3:
        raise ValueError(f"a ped_crossing has {len(opened)} different vertices; a ring needs three")
    return opened


def _agent(row: dict[str, Any], index: int, times: NDArray[np.float64]) -> Agent:
    """Times come as (possibly fractional) row numbers of `ego`."""
    if missing := [key for key in ("type", "length", "width", "height", "poses") if key not in row]:
        raise ValueError(f"agents[{index}] lacks {missing}")
    poses = _array(row["poses"], 4, f"agents[{index}].poses", 1)
    if poses[0, 0] < 0 or poses[-1, 0] > len(times) - 1 or np.any(np.diff(poses[:, 0]) <= 0):
        raise ValueError(f"agents[{index}].poses: row numbers must rise within 0..{len(times) - 1} of ego")
    size = _array([[row["length"], row["width"], row["height"]]], 3, f"agents[{index}] size", 1)[0]
    if np.any(size <= 0):
        raise ValueError(f"agents[{index}]: length, width, height = {size.tolist()}; must be positive")
    poses[:, 0] = np.interp(poses[:, 0], np.arange(len(times)), times)
    length, width, height = (float(metres) for metres in size)
    return Agent(str(row["type"]), length, width, height, poses)


def _drivable(polygons: Any) -> shapely.MultiPolygon:
    rings = [[_array(r, 2, f"drivable[{i}]", 4) for r in polygon] for i, polygon in enumerate(polygons)]
    if [] in rings:
        raise ValueError(f"drivable[{rings.index([])}] has no ring; a polygon begins with its outer one")
    area = shapely.make_valid(shapely.MultiPolygon([shapely.Polygon(part[0], part[1:]) for part in rings]))
    return shapely.MultiPolygon([part for part in shapely.get_parts(area) if part.geom_type == "Polygon"])
