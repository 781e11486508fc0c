# SPDX-License-Identifier: Apache-2.0
"""The query head's lines against a slow reference, point by point and segment by segment."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES
from mapkd_core.vectorising.query_lines import SAME_LINE_M, Lines, query_elements

GRID = BevGrid()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 24))
def test_elements_are_those_of_the_slow_way(seed: int, queries: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 5, queries)  # few different lines, so that many are found twice
    lines = np.cumsum(rng.normal(0.02, 0.02, (5, 8, 2)), 1) + rng.random((5, 1, 2)) * 0.6
    points = lines[kinds] + rng.normal(0, 0.008, (queries, 8, 2))
    scores = rng.random((queries, 3)).astype(np.float32)
    found = query_elements(scores, points, GRID, CLASSES, 0.3)
    expected = slowly(scores, points, 0.3)
    assert [(e.class_name, e.is_closed) for e in found] == [(name, name == "ped_crossing") for name, _, _ in expected]
    for element, (_, confidence, vertices) in zip(found, expected):
        assert element.confidence == pytest.approx(confidence)
        np.testing.assert_allclose(element.vertices_m, vertices)


def slowly(scores: np.ndarray, points: np.ndarray, least: float) -> list[tuple[str, float, list[tuple[float, float]]]]:
    kept: list[tuple[str, float, list[tuple[float, float]]]] = []
    for q in sorted(range(len(scores)), key=lambda q: -max(scores[q])):
        confidence = float(max(scores[q]))
        name = CLASSES[int(np.argmax(scores[q]))]
        line = [(min(max(x, 0), 1) * 60 - 30, min(max(y, 0), 1) * 30 - 15) for x, y in points[q]]
        others = [other for kind, _, other in kept if kind == name]
        if confidence >= least and all(apart(line, other) > SAME_LINE_M for other in others):
            kept.append((name, confidence, line))
    return kept


def apart(line: list[tuple[float, float]], other: list[tuple[float, float]]) -> float:
    """Mean distance of the points of `line` from `other`."""
    return sum(min(from_segment(p, a, b) for a, b in pairwise(other)) for p in line) / len(line)


def from_segment(p: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length2 = dx * dx + dy * dy
    t = 0.0 if length2 == 0 else min(1.0, max(0.0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length2))
    return math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy)


def test_the_distance_is_that_of_every_point_from_every_segment() -> None:
    rng = np.random.default_rng(3)
    lines = rng.uniform(-30, 30, (6, 5, 2))
    lines[2, 3] = lines[2, 2]  # a segment of no length
    lines[4] = lines[1] + 1e-9
    known = Lines(6, 5)
    assert known.nearest(lines[0]) == math.inf
    for count, line in enumerate(lines):
        if count:
            expected = min(apart(line, other) for other in lines[:count])
            assert known.nearest(line) == pytest.approx(expected, abs=2e-6)
        known.add(line)


def test_what_is_no_number_is_left_out_and_hides_nothing() -> None:
    line = np.tile(np.linspace(0.1, 0.9, 8)[:, None], (1, 2))
    points = np.stack([line, line, line, 1 - line * [1, 0.5]])
    points[0, 3, 1] = np.nan
    scores = np.array([[0.9, 0, 0], [0.8, 0, 0], [np.nan, 0, 0], [0.7, 0, 0]])
    found = query_elements(scores, points, GRID, CLASSES, 0.3)
    assert [element.confidence for element in found] == [0.8, 0.7]
    assert query_elements(np.zeros((0, 3)), np.zeros((0, 8, 2)), GRID, CLASSES, 0.3) == ()
