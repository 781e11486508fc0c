# SPDX-License-Identifier: Apache-2.0
"""Query head -> polylines and polygons, about a millisecond a frame: what it is sure of, each line once."""

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
    """scores Q K in 0..1, points Q P 2 in [0, 1] over the grid -> elements, most confident first, each line once.

    A query with a score or a point that is no number is left out.
    """
    confidence, label = scores.max(1), scores.argmax(1)
    size = np.array([grid.x_max - grid.x_min, grid.y_max - grid.y_min])
    metres = np.clip(points, 0, 1) * size + (grid.x_min, grid.y_min)
    usable = (confidence >= min_confidence) & ~np.isnan(metres).any((1, 2))
    kept = {name: Lines(int(usable.sum()), points.shape[1]) for name in classes}
    elements: list[MapElement] = []
    order = np.argsort(-confidence, kind="stable")
    for q in order[usable[order]]:
        name = classes[label[q]]
        if kept[name].nearest(metres[q]) > SAME_LINE_M:
            kept[name].add(metres[q])
            elements.append(MapElement(name, metres[q], name == "ped_crossing", float(confidence[q])))
    return tuple(elements)


class Lines:
    """Polylines of P points, at most `room` of them, and how far another one runs from each; metres.

    Of a point that is o away from where a segment s begins, |o - t s|^2 = |o|^2 - 2 t o.s + t^2 |s|^2: two matrix
    products for all points and segments. Exact to a micrometre some tens of metres from the origin.
    """

    def __init__(self, room: int, points: int) -> None:
        self._segments, self._used = points - 1, 0
        self._start, self._step = np.empty((2, room * self._segments, 2))
        self._own = np.empty((3, room * self._segments))  # |s|^2, start . s and |start|^2 of every segment

    def add(self, line: NDArray[np.float64]) -> None:
        """line: P 2."""
        place = slice(self._used, self._used + self._segments)
        start, step = line[:-1], np.diff(line, axis=0)
        self._start[place], self._step[place] = start, step
        self._own[:, place] = (step**2).sum(1), (start * step).sum(1), (start**2).sum(1)
        self._used += self._segments

    def nearest(self, line: NDArray[np.float64]) -> float:
        """Mean distance of the points of `line`, P 2, from the polyline nearest to them; infinite without one."""
        if not self._used:
            return float("inf")
        start, step = self._start[: self._used], self._step[: self._used]
        length2, start_step, start2 = self._own[:, : self._used]
        ahead = line @ step.T - start_step  # P, segments
        away2 = (line**2).sum(1)[:, None] - 2 * line @ start.T + start2
        along = np.clip(ahead / np.maximum(length2, 1e-12), 0, 1)
        gap2 = away2 + along * (along * length2 - 2 * ahead)
        by_line = gap2.reshape(len(line), -1, self._segments).min(2)
        return float(np.sqrt(np.maximum(by_line, 0)).mean(0).min())
