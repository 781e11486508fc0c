# SPDX-License-Identifier: Apache-2.0
"""Statistics of one LiDAR sweep that a real and a rendered one can be compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.types import MapElement
from mapkd_core.worlds.lidar.sensor import COLUMNS, RINGS

OWN_M = 1.3  # nearer to the sensor is the vehicle itself, or a lost ray that a file keeps as a point at the sensor
RANGE_EDGES_M = (1.3, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 110.0)
HEIGHT_EDGES_M = (-2.0, -0.15, 0.15, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0)  # above the ground
GROUND_REACH_M, GROUND_M = 40.0, 0.15
ON_PAINT_M, OFF_PAINT_M, ROAD_M = 0.08, 0.6, 3.0  # distance from divider lines
_PERCENTILES = (5, 25, 50, 75, 95)


def lidar_statistics(
    points: NDArray[np.floating], sensor_m: NDArray[np.floating], truth: Sequence[MapElement]
) -> dict[str, Any]:
    """Summary of one turn. points: P x 5 or more x y z intensity ring, ego frame; sensor_m: 3, where the sensor is.

    truth: dividers, for the intensity on paint. Shares are of all points farther than OWN_M from the sensor;
    `answered` is their share of all rays, `ground` the share within GROUND_M of a quadratic surface through the ground.
    ValueError where fewer than 100 points are left.
    """
    distance = np.linalg.norm(points[:, :3] - sensor_m, axis=1)
    kept = points[distance > OWN_M].astype(np.float64)
    if len(kept) < 100:
        raise ValueError(f"{len(kept)} of {len(points)} points lie farther than {OWN_M} m from the sensor; need 100")
    distance = distance[distance > OWN_M]
    height = kept[:, 2] - ground_surface(kept[:, :3])(kept[:, :2])
    near = distance < GROUND_REACH_M
    rings = np.bincount(kept[:, 4].astype(int), minlength=RINGS)
    is_ground = near & (np.abs(height) < GROUND_M)
    return {
        "points": len(kept),
        "answered": len(kept) / (RINGS * COLUMNS),
        "ground": float(is_ground.mean()),
        "per_ring": rings.tolist(),
        "ground_per_ring": np.bincount(kept[is_ground, 4].astype(int), minlength=RINGS).tolist(),
        "range_shares": _shares(distance, RANGE_EDGES_M),
        "height_shares": _shares(height[near], HEIGHT_EDGES_M),
        "roughness_m": _roughness(kept[is_ground & (distance < 12)], sensor_m),
        "intensity": _percentiles(kept[:, 3]),
        **_paint(kept[is_ground], truth),
    }


def ground_surface(points: NDArray[np.float64]) -> Any:
    """A quadratic surface x y -> z through the ground of P x 3 points (ego frame), found from what is flat around it.

    Least squares, repeated with points ever nearer to the last surface; returns a function of N x 2.
    """
    near = points[np.hypot(points[:, 0], points[:, 1]) < GROUND_REACH_M]
    factors: NDArray[np.floating] = np.zeros(6)
    for margin in (0.6, 0.35, 0.2, 0.12):
        chosen = near[np.abs(near[:, 2] - _powers(near) @ factors) < margin]
        if len(chosen) < 30:
            break
        factors = np.linalg.lstsq(_powers(chosen), chosen[:, 2], rcond=None)[0]
    return lambda xy: _powers(xy) @ factors


def difference(real: dict[str, Any], rendered: dict[str, Any]) -> dict[str, float]:
    """How far two statistics are apart.

    rings: mean over rings of |difference of points| as a share of a full ring. range, height: total variation, half
    the sum of |difference of shares|, 0 equal .. 1 apart. ground, answered: rendered less real.
    """
    rings = np.abs(np.subtract(real["per_ring"], rendered["per_ring"])).mean() / COLUMNS
    apart = {"rings": float(rings)}
    for name in ("range", "height"):
        apart[name] = float(np.abs(np.subtract(real[f"{name}_shares"], rendered[f"{name}_shares"])).sum() / 2)
    return apart | {name: rendered[name] - real[name] for name in ("ground", "answered")}


def _powers(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = xy[:, 0], xy[:, 1]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)


def _shares(values: NDArray[np.float64], edges: Sequence[float]) -> list[float]:
    return (np.histogram(values, edges)[0] / max(len(values), 1)).tolist()


def _percentiles(values: NDArray[np.float64]) -> list[float]:
    return np.percentile(values, _PERCENTILES).tolist() if len(values) else []


def _roughness(ground: NDArray[np.float64], sensor_m: NDArray[np.floating]) -> float:
    """Noise of neighbours' ranges, metres: robust deviation of second differences along each ring."""
    found = []
    for ring in range(RINGS):
        part = ground[ground[:, 4] == ring, :3] - sensor_m
        part = part[np.argsort(np.arctan2(part[:, 1], part[:, 0]))]
        ranges = np.linalg.norm(part, axis=1)
        found.append(ranges[1:-1] - (ranges[:-2] + ranges[2:]) / 2 if len(ranges) > 20 else np.zeros(0))
    together = np.concatenate(found)
    return float(1.4826 * np.median(np.abs(together)) / np.sqrt(1.5)) if len(together) else float("nan")


def _paint(ground: NDArray[np.float64], truth: Sequence[MapElement]) -> dict[str, Any]:
    """Intensity of ground points on divider lines (gaps of dashed ones too) and beside them on the road."""
    lines = [shapely.LineString(e.vertices_m) for e in truth if e.class_name == "divider"]
    apart = shapely.distance(shapely.MultiLineString(lines), shapely.points(ground[:, :2]))
    on, off = ground[apart < ON_PAINT_M, 3], ground[(apart > OFF_PAINT_M) & (apart < ROAD_M), 3]
    return {"intensity_on_lines": _percentiles(on), "intensity_beside_lines": _percentiles(off)}
