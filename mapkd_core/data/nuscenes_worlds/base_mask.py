# SPDX-License-Identifier: Apache-2.0
"""The base map of a city that `MapMask` of the devkit reads: 255 on the road, 10 pixels a metre, north up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import shapely

PIXELS_PER_M = 10
_SHIFT = 4  # fixed-point bits of a pixel


def write_mask(path: Path, roads: Sequence[shapely.Polygon], canvas_m: tuple[float, float]) -> None:
    """Draw road polygons (map frame, metres) on a canvas of width and height in metres; its corner is the origin."""
    width, height = (round(length * PIXELS_PER_M) for length in canvas_m)
    mask = np.zeros((height, width), np.uint8)
    for road in roads:
        rings = [_pixels(shapely.get_coordinates(ring), height) for ring in (road.exterior, *road.interiors)]
        cv2.fillPoly(mask, rings, 255, lineType=cv2.LINE_8, shift=_SHIFT)  # rings inside rings are holes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())


def _pixels(xy_m: np.ndarray, height: int) -> np.ndarray:
    pixels = np.column_stack([xy_m[:, 0] * PIXELS_PER_M, height - xy_m[:, 1] * PIXELS_PER_M])
    return np.round(pixels * (1 << _SHIFT)).astype(np.int32)
