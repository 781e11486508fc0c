# SPDX-License-Identifier: Apache-2.0
"""Query head -> polylines and polygons, below a millisecond a frame: what it is sure of, each line once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

SAME_LINE_M = 0.8  # two polylines of a class that run closer than this, on average, are one line found twice


def query_elements(
    scores: NDArray[Any], points: NDArray[Any], grid: BevGrid, classes: tuple[str, ...], min_confidence: float
) -> tuple[MapElement, ...]:
    """scores Q K in 0..1, points Q P 2 in [0, 1] over the grid -> elements, most confident first, each line once."""
    confidence = scores.max(1)
    order = np.argsort(-confidence, kind="stable")
    order = order[confidence[order] >= min_confidence]
    size = np.array([grid.x_max - grid.x_min, grid.y_max - grid.y_min])
    metres = np.clip(points[order], 0, 1) * size + (grid.x_min, grid.y_min)
    of_class = scores[order].argmax(1)
    kept = np.zeros(len(order), bool)
    for index in range(len(classes)):
        chosen = np.flatnonzero(of_class == index)
        kept[chosen] = _first_of_each(distances(metres[chosen]) <= SAME_LINE_M)
    return tuple(
        MapElement(classes[k], metres[i], classes[k] == "ped_crossing", float(confidence[order[i]]))
        for i, k in ((i, of_class[i]) for i in np.flatnonzero(kept))
    )


def _first_of_each(is_same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """L L -> L: lines that no line kept before them is the same as."""
    kept = np.zeros(len(is_same), bool)
    for line, same in enumerate(is_same):
        kept[line] = not (same & kept).any()
    return kept


def distances(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """L L: mean distance from the points of a line to each polyline, in metres; lines are L P 2.

    Of a point that is o away from where a segment s begins, |o - t s|^2 = |o|^2 - 2 t o.s + t^2 |s|^2; the products of
    all points with all segments are two matrix products.
    """
    count, size = lines.shape[:2]
    if count < 2:
        return np.zeros((count, count))
    point = lines.reshape(-1, 2)
    start, step = lines[:, :-1].reshape(-1, 2), np.diff(lines, axis=1).reshape(-1, 2)
    length2 = (step**2).sum(-1)
    ahead = point @ step.T - (start * step).sum(-1)  # L P, L S
    away2 = (point**2).sum(-1)[:, None] - 2 * point @ start.T + (start**2).sum(-1)
    along = np.clip(ahead / np.maximum(length2, 1e-12), 0, 1)
    gap2 = away2 + along * (along * length2 - 2 * ahead)
    nearest = gap2.reshape(count, size, count, size - 1).min(3)
    found: NDArray[np.float64] = np.sqrt(np.maximum(nearest, 0)).mean(1)
    return found
