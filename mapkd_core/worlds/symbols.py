# SPDX-License-Identifier: Apache-2.0
"""Arrows, stop lines and words on the road: paint that is no map element and must not be taken for one."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds import polylines
from mapkd_core.worlds.road_map import RoadMap

_WORDS = ("STOP", "SLOW", "BUS", "ONLY", "40", "50", "KEEP CLEAR", "AHEAD", "TAXI", "SCHOOL")
_SHAFT = np.array([[0.0, -0.08], [2.6, -0.08], [2.6, -0.35], [4.2, 0.0], [2.6, 0.35], [2.6, 0.08], [0.0, 0.08]])
_TURN = np.array(
    [[0.0, -0.08], [2.3, -0.08], [2.9, 0.5], [3.2, 0.35], [3.1, 1.1], [2.3, 0.85], [2.6, 0.7], [2.1, 0.12], [0.0, 0.12]]
)


def road_symbols(road_map: RoadMap, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Outlines (V x 2 metres, map frame) of the symbols of one world."""
    crossings = [shapely.make_valid(shapely.Polygon(ring)) for ring in road_map.crossings]
    tree = shapely.STRtree(crossings)
    for line in road_map.centrelines:
        length = polylines.arc_lengths(line)[-1]
        if length < 12 or abs(_turn(line)) > 0.5:
            continue
        if rng.random() < 0.3:
            yield from arrow(line, length - rng.uniform(6, 12), rng)
        if rng.random() < 0.06:
            yield from _word(line, rng.uniform(4, length - 4), rng)
        if rng.random() < 0.6:
            yield from _stop_line(line, tree, crossings, rng)


def approach_symbols(road_map: RoadMap, amount: float, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Outlines before junctions: the same arrow two or three times, a stop line at the end, a word; amount 0..1."""
    for line in road_map.centrelines:
        length = polylines.arc_lengths(line)[-1] if len(line) > 1 else 0.0
        if amount <= 0 or length < 25 or abs(_turn(line)) > 0.5:
            continue
        if rng.random() < 0.6 * amount:
            kind, first = int(rng.integers(5)), rng.uniform(5, 12)
            for back in first + rng.uniform(11, 22) * np.arange(int(rng.integers(1, 4))):
                if back < length - 3:
                    yield from arrow(line, length - back, rng, kind)
        if rng.random() < 0.5 * amount:
            yield _bar(line, length - rng.uniform(0.2, 1.5), rng)
        if rng.random() < 0.2 * amount:
            yield from _word(line, max(length - rng.uniform(12, 30), 4.0), rng)


def _turn(line: NDArray[np.float64]) -> float:
    ends = polylines.heading_at(line, np.array([0.5, polylines.arc_lengths(line)[-1] - 0.5]))
    return float((ends[1] - ends[0] + np.pi) % (2 * np.pi) - np.pi)


def placed(outline: NDArray[np.float64], line: NDArray[np.float64], at_m: float) -> NDArray[np.float64]:
    """An outline (V x 2 metres ahead, left) at a distance along the line, in the line's frame."""
    heading = float(polylines.heading_at(line, np.array([at_m]))[0])
    c, s = np.cos(heading), np.sin(heading)
    return outline @ np.array([[c, s], [-s, c]]) + polylines.at(line, np.array([at_m]))[0]


def arrow(
    line: NDArray[np.float64], at_m: float, rng: np.random.Generator, kind: int | None = None
) -> Iterator[NDArray[np.float64]]:
    """Outlines of one arrow: ahead, left, right or two of them (`kind` 0..4; drawn where it is None)."""
    kind = int(rng.integers(5)) if kind is None else kind
    if kind in (0, 1, 3):
        yield placed(_SHAFT, line, at_m)
    if kind in (1, 2):
        yield placed(_TURN, line, at_m)
    if kind in (3, 4):
        yield placed(_TURN * (1, -1), line, at_m)


def _stop_line(
    line: NDArray[np.float64], tree: shapely.STRtree, crossings: list, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Across the lane before it enters a crossing."""
    path = shapely.LineString(line)
    for index in tree.query(path, predicate="intersects"):
        enters = shapely.get_coordinates(shapely.intersection(path, crossings[index]))
        if len(enters) and (at_m := path.project(shapely.Point(enters[0])) - rng.uniform(1.0, 2.5)) > 3:
            yield _bar(line, at_m, rng)


def _bar(line: NDArray[np.float64], at_m: float, rng: np.random.Generator) -> NDArray[np.float64]:
    half, depth = 1.6, rng.uniform(0.2, 0.5)
    return placed(np.array([[-depth, -half], [0, -half], [0, half], [-depth, half]]), line, at_m)


def _word(line: NDArray[np.float64], at_m: float, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Letters stretched along the lane, read by the driver who comes."""
    canvas = np.zeros((80, 400), np.uint8)
    text = str(rng.choice(_WORDS))
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 2.0, 7)
    scale = min(1.0, 380 / width)
    cv2.putText(canvas, text, (8, 70), cv2.FONT_HERSHEY_DUPLEX, 2.0 * scale, 255, 7)
    metres = rng.uniform(1.6, 2.4) / (width * scale)
    contours, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    for contour in contours:
        u, v = contour[:, 0, 0] - 8 - width * scale / 2, contour[:, 0, 1] - 70
        if len(contour) > 3:
            yield placed(np.stack([-v * metres * 3.0, -u * metres], -1), line, at_m)
