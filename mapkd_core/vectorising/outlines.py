# SPDX-License-Identifier: Apache-2.0
"""Closed outlines in a raster -> polygons. An outline is found by the area that it encloses, so that two crossings
that share a side stay two; what encloses nothing (an outline with a gap, a filled blob) becomes its convex hull.
"""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.vectorising.smoothing import simplify

_ENCLOSED_BY = 0.4  # share of an area's rim that must be of the class itself; the rest may be a kerb drawn over it
_MIN_INSIDE = 20  # cells; smaller holes are noise


def outlines(
    own: NDArray[np.uint8],
    others: NDArray[np.uint8],
    thickness: int,
    min_cells: int,
    max_width: float,
    tolerance: float,
) -> list[NDArray[np.float64]]:
    """Polygons, each V x 2 column row along the middle of the drawn outline, fractional cells.

    own, others: 0/1 uint8 [Y, X], cells of the class and of the classes that may be drawn over it.
    thickness: cells of the drawn outline. min_cells: smaller components that enclose nothing are noise.
    max_width: cells; a wider area is not a polygon but the place between several, such as a junction's middle.
    tolerance: cells by which a polygon may stray from the contour to be simple.
    """
    explained = np.zeros_like(own)
    polygons = []
    for inside, corner in _enclosed(own, others):
        # The inner edge of a stroke keeps its corners sharp; its outermost inner cell lies half a thickness and half
        # a cell inside the line.
        contour = simplify(_contour(inside), True, tolerance) + corner
        if min(cv2.minAreaRect(contour.astype(np.float32))[1]) <= max_width - thickness:
            polygons += _moved_out(contour, (thickness + 1) / 2)
    for polygon in polygons:
        _mark(explained, polygon, thickness + 2)
    for hull in _hulls(own & (explained == 0), min_cells):
        polygons += _moved_out(simplify(hull, True, tolerance), -(thickness - 1) / 2)
    limit = np.array(own.shape[::-1]) - 0.5
    return [np.clip(polygon, -0.5, limit) for polygon in polygons]


def _enclosed(own: NDArray[np.uint8], others: NDArray[np.uint8]) -> list[tuple[NDArray[np.uint8], tuple[int, int]]]:
    """Areas that `own`, with some help of `others`, closes off: each a 0/1 patch and the column row of its corner."""
    if not own.any():
        return []
    count, label, stats, _ = cv2.connectedComponentsWithStats(((own | others) == 0).astype(np.uint8), connectivity=4)
    if count <= 2:
        return []
    rim_own, rim_all = _rim(label, own.view(bool), count), _rim(label, (own | others).view(bool), count)
    found = []
    for area in range(1, count):
        left, top, width, height, cells = stats[area]
        touches = left == 0 or top == 0 or left + width == own.shape[1] or top + height == own.shape[0]
        if cells >= _MIN_INSIDE and not touches and rim_own[area] >= _ENCLOSED_BY * rim_all[area]:
            patch = (label[top : top + height, left : left + width] == area).astype(np.uint8)
            found.append((patch, (left, top)))
    return found


def _rim(label: NDArray[np.int32], mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """For each area, how often one of its cells has a side neighbour in `mask`."""
    total = np.zeros(count, np.int64)
    for axis in (0, 1):
        near, far = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        for a, b in ((near, far), (far, near)):
            total += np.bincount(label[a][mask[b]], minlength=count)
    total[0] = 0
    return total


def _hulls(left_over: NDArray[np.uint8], min_cells: int) -> list[NDArray[np.float64]]:
    """Convex hulls of the components."""
    x, y, columns, rows = cv2.boundingRect(left_over)
    left_over = left_over[y : y + rows, x : x + columns]  # most of the canvas is empty
    if not left_over.size:
        return []
    count, label, stats, _ = cv2.connectedComponentsWithStats(left_over, connectivity=8)
    hulls = []
    for component in range(1, count):
        left, top, width, height, cells = stats[component]
        if cells >= min_cells:
            patch = (label[top : top + height, left : left + width] == component).astype(np.uint8)
            hulls.append(cv2.convexHull(cv2.findNonZero(patch))[:, 0] + np.array([x + left, y + top], float))
    return hulls


def _moved_out(polygon: NDArray[np.float64], distance: float) -> list[NDArray[np.float64]]:
    """The polygon with its sides moved out (in where negative), corners kept; nothing where little is left of it."""
    if len(polygon) < 3:
        return []
    moved = shapely.make_valid(shapely.Polygon(polygon)).buffer(distance, join_style="mitre", mitre_limit=2.5)
    largest = max(shapely.get_parts(moved), key=lambda part: part.area, default=None)
    if largest is None or largest.geom_type != "Polygon" or largest.area < _MIN_INSIDE:
        return []
    return [shapely.get_coordinates(largest.exterior)[:-1]]


def _contour(filled: NDArray[np.uint8]) -> NDArray[np.float64]:
    found, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(found, key=len)[:, 0].astype(float)


def _mark(mask: NDArray[np.uint8], polygon: NDArray[np.float64], thickness: int) -> None:
    """Fill the polygon and a line around it: what lies there needs no second polygon."""
    points = [np.round(polygon).astype(np.int32)]
    cv2.fillPoly(mask, points, 1)
    cv2.polylines(mask, points, True, 1, thickness)
