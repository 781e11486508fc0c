# SPDX-License-Identifier: Apache-2.0
"""What years do to asphalt, at the finest cell: cracks, repair patches, sealed seams, manholes, tyre marks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise, polylines
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.road_map import RoadMap


def asphalt_detail(
    grid: BevGrid, road_map: RoadMap, look: Look, grain: NDArray[np.uint8], seed: int
) -> NDArray[np.uint8]:
    """Brightness gain of the asphalt over `grid`, 128 = 1. The marks do not depend on the grid."""
    gain = noise.tiled(grain, grid.shape).copy()
    rng = np.random.default_rng([seed, 0xA5])
    amount = rng.uniform(0.2, 1.6) * (0.5 + look.wear)
    for line in road_map.centrelines:
        length = float(polylines.arc_lengths(line)[-1])
        for _ in range(rng.poisson(amount * length / 25)):
            at_m = rng.uniform(0, length)
            centre = polylines.at(line, np.array([at_m]))[0] + rng.normal(0, 1.5, 2)
            heading = float(polylines.heading_at(line, np.array([at_m]))[0])
            _MARKS[rng.choice(len(_MARKS), p=_SHARES)](gain, grid, centre, heading, rng)
    if grid.cell <= 0.1:
        _tar(gain, grid, road_map, look, np.random.default_rng([seed, 0x7A6]))
    return gain


def _tar(gain: NDArray[np.uint8], grid: BevGrid, road_map: RoadMap, look: Look, rng: np.random.Generator) -> None:
    """Black seams that run along a lane for a long way, and snakes of sealed cracks: lines that are no markings."""
    for line in road_map.centrelines:
        length = float(polylines.arc_lengths(line)[-1])
        for _ in range(rng.poisson(look.upkeep.tar * length / 45)):
            start = rng.uniform(-5, length)
            s = np.arange(max(start, 0.0), min(start + rng.uniform(8, 70), length), 0.7)
            if len(s) < 4:
                continue
            snake = rng.random() < 0.5
            sway = np.cumsum(rng.normal(0, 0.10, len(s))) if snake else np.cumsum(rng.normal(0, 0.01, len(s)))
            headings = polylines.heading_at(line, s)
            left = np.stack([-np.sin(headings), np.cos(headings)], -1)
            path = polylines.at(line, s) + (rng.uniform(-2.0, 2.0) + sway)[:, None] * left
            width = _width(rng.uniform(0.03, 0.11), grid)
            cv2.polylines(gain, [_pixels(grid, path)], False, int(rng.uniform(40, 75)), width, cv2.LINE_8, 4)


def _patch(gain: NDArray[np.uint8], grid: BevGrid, centre: NDArray, heading: float, rng: np.random.Generator) -> None:
    size = rng.uniform((0.6, 0.5), (8.0, 2.5)) / 2
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size
    corners = _pixels(grid, _turned(box, heading) + centre)
    factor = int(128 * rng.uniform(0.72, 1.15))
    _scale(gain, corners, factor)
    if rng.random() < 0.6:
        cv2.polylines(gain, [corners], True, 92, _width(0.05, grid), cv2.LINE_8, 4)


def _crack(gain: NDArray[np.uint8], grid: BevGrid, centre: NDArray, heading: float, rng: np.random.Generator) -> None:
    steps = int(rng.integers(10, 60))
    direction = heading + rng.choice([0.0, np.pi / 2]) + np.cumsum(rng.normal(0, 0.25, steps))
    path = centre + np.cumsum(0.2 * np.stack([np.cos(direction), np.sin(direction)], -1), axis=0)
    cv2.polylines(
        gain,
        [_pixels(grid, path)],
        False,
        int(rng.uniform(60, 100)),
        _width(rng.choice([0.02, 0.06]), grid),
        cv2.LINE_8,
        4,
    )


def _seam(gain: NDArray[np.uint8], grid: BevGrid, centre: NDArray, heading: float, rng: np.random.Generator) -> None:
    line = _turned(
        np.array([[-rng.uniform(3, 20), 0.0], [rng.uniform(3, 20), 0.0]]), heading + rng.choice([0, 0, 1.57])
    )
    cv2.polylines(
        gain, [_pixels(grid, line + centre)], False, int(rng.uniform(75, 150)), _width(0.05, grid), cv2.LINE_8, 4
    )


def _manhole(gain: NDArray[np.uint8], grid: BevGrid, centre: NDArray, heading: float, rng: np.random.Generator) -> None:
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1) * rng.uniform(0.28, 0.42)
    corners = _pixels(grid, ring + centre)
    _scale(gain, corners, int(128 * rng.uniform(0.5, 0.95)))
    cv2.polylines(gain, [corners], True, int(rng.uniform(60, 150)), _width(0.05, grid), cv2.LINE_8, 4)


def _tyres(gain: NDArray[np.uint8], grid: BevGrid, centre: NDArray, heading: float, rng: np.random.Generator) -> None:
    s = np.linspace(0, rng.uniform(4, 15), 8)
    bend = rng.normal(0, 0.02) * s**2
    for side in (-0.75, 0.75):
        path = _turned(np.stack([s, bend + side], -1), heading) + centre
        strip = _pixels(grid, polylines.strip(path, 0.2))
        _scale(gain, strip, int(128 * rng.uniform(0.72, 0.92)))


def _scale(gain: NDArray[np.uint8], corners: NDArray[np.int32], factor: int) -> None:
    """Multiply the gain inside a polygon by factor / 128."""
    x0, y0 = np.maximum((corners.min(axis=0) >> 4) - 1, 0)
    x1, y1 = np.minimum((corners.max(axis=0) >> 4) + 2, gain.shape[::-1])
    if x1 <= x0 or y1 <= y0:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [corners - np.array([x0, y0], np.int32) * 16], 255, cv2.LINE_8, 4)
    part = gain[y0:y1, x0:x1]
    cv2.copyTo(cv2.convertScaleAbs(part, alpha=factor / 128), mask, part)


def _turned(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def _pixels(grid: BevGrid, points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(grid.to_cells(points) * 16).astype(np.int32)


def _width(metres: float, grid: BevGrid) -> int:
    return max(1, round(metres / grid.cell))


_MARKS = (_patch, _crack, _seam, _manhole, _tyres)
_SHARES = (0.3, 0.3, 0.12, 0.14, 0.14)
