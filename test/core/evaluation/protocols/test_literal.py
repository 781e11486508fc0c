# SPDX-License-Identifier: Apache-2.0
"""A second way to the same numbers: the raster protocols in slow loops, step by step as their papers' code goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.data.rasterise import layers
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Settings
from mapkd_core.evaluation.protocols.mapvr import draw, match_best_free, recall_sampled_ap
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

GRID = BevGrid(-3.0, 3.0, -1.5, 1.5, 0.25)
CLASSES = ("divider",)


def random_frames(seed: int) -> list[ScoredFrame]:
    rng = np.random.default_rng(seed)

    def lines() -> list[MapElement]:
        corners = (rng.uniform([-3, -1.5], [3, 1.5], (2, 2)) for _ in range(int(rng.integers(0, 5))))
        return [MapElement("divider", c, confidence=float(rng.choice([0.2, 0.5, 0.9]))) for c in corners]

    return [ScoredFrame(str(i), lines(), lines()) for i in range(3)]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["hdmapnet", "pmapnet"]))
def test_hdmapnet_and_pmapnet_as_released(seed: int, name: str) -> None:
    frames = random_frames(seed)
    scorer = PROTOCOLS[name].make(Settings(GRID, CLASSES, (0.5,), True))
    for frame in frames:
        scorer.add(frame)
    both_ways, gate = (True, 0.0) if name == "hdmapnet" else (False, 0.1)
    by_frame = [_frame_ap(frame, 0.5, both_ways, gate) for frame in frames]
    counted = [value for value in by_frame if value is not None]
    expected = sum(counted) / len(counted) if counted else math.nan
    assert scorer.scores().mean == pytest.approx(expected, nan_ok=True)


def _frame_ap(frame: ScoredFrame, threshold: float, both_ways: bool, gate: float) -> float | None:
    predicted, truth = _painted(frame.predicted), _painted(frame.truth)
    if not predicted and not truth:
        return None
    left = {}
    for i, (cells, _) in predicted.items():
        for j, (others, _) in truth.items():
            there, back = _one_way(cells, others), _one_way(others, cells)
            left[i, j] = (there + back) / 2 if both_ways else there
    curve = []
    while left and min(left.values()) < threshold:
        i, j = min(left, key=left.__getitem__)
        a, b = predicted[i][0], truth[j][0]
        if len(a & b) / len(a | b) >= gate:
            curve.append((predicted[i][1], True, i))
        left = {pair: d for pair, d in left.items() if pair[0] != i and pair[1] != j}
    matched = {i for _, _, i in curve}
    curve += [(score, False, i) for i, (_, score) in predicted.items() if i not in matched]
    curve.sort(key=lambda entry: entry[0])
    points = []
    for n in range(1, len(curve) + 1):
        found = sum(hit for _, hit, _ in curve[:n])
        points.append((found / n, found / len(truth) if truth else math.nan))
    levels = [k / 10 + (1e-9 if k == 7 else 0) for k in range(1, 11)]  # seven of ten do not reach 0.7 there
    return sum(max((p for p, r in points if r >= level - 1e-12), default=0.0) for level in levels) / 10


def _painted(elements: list[MapElement]) -> dict[int, tuple[set[tuple[int, int]], float]]:
    """On one picture: a later element takes the cells of an earlier one."""
    picture: dict[tuple[int, int], int] = {}
    for i, element in enumerate(elements):
        for row, column in np.argwhere(layers([element], GRID, CLASSES)[0]):
            picture[int(row), int(column)] = i
    owners = sorted(set(picture.values()))
    return {i: ({c for c, owner in picture.items() if owner == i}, elements[i].confidence) for i in owners}


def _one_way(a: set[tuple[int, int]], b: set[tuple[int, int]]) -> float:
    return sum(min(math.dist(p, q) for q in b) for p in a) / len(a) * GRID.cell


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mapvr(seed: int) -> None:
    frames = random_frames(seed)
    scorer = PROTOCOLS["raster"].make(Settings(GRID, CLASSES, (0.25, 0.5)))
    for frame in frames:
        scorer.add(frame)
    found = scorer.scores().by_class["divider"]
    for threshold in (0.25, 0.5):
        assert found[threshold] == pytest.approx(_mapvr_ap(frames, threshold), nan_ok=True)


def _mapvr_ap(frames: list[ScoredFrame], threshold: float) -> float:
    pooled, truths = [], 0
    for frame in frames:
        masks = [{int(i) for i in np.flatnonzero(mask)} for mask in draw(frame.truth, GRID)]
        taken: set[int] = set()
        truths += len(masks)
        for element in sorted(frame.predicted, key=lambda e: -e.confidence):
            mask = {int(i) for i in np.flatnonzero(draw([element], GRID)[0])}
            best, match = threshold, None
            for g, other in enumerate(masks):
                iou = len(mask & other) / max(len(mask | other), 1)
                if g not in taken and iou >= best:
                    best, match = iou, g
            taken |= {match} if match is not None else set()
            pooled.append((element.confidence, match is not None))
    if not truths:
        return math.nan
    pooled.sort(key=lambda entry: -entry[0])
    points = []
    for n in range(1, len(pooled) + 1):
        hits = sum(hit for _, hit in pooled[:n])
        points.append((hits / n, hits / truths))
    return sum(max((p for p, r in points if r >= level), default=0.0) for level in np.linspace(0, 1, 101)) / 101


def test_mapvr_by_hand() -> None:
    line = MapElement("divider", np.array([[-2.0, 0.0], [2.0, 0.0]]))
    # 33 pixels of 1/8 m, widened by two on every side: 37 x 5; a shift by one pixel leaves 4 of 6 rows.
    shifted = MapElement("divider", line.vertices_m + [0.0, 0.125])
    masks = draw([line, shifted], GRID)
    assert masks.sum(1).tolist() == [37 * 5] * 2 and (masks[0] & masks[1]).sum() == 37 * 4
    crossing = MapElement("ped_crossing", np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]), True)
    assert draw([crossing], GRID).sum() == 21 * 21, "filled: 17 pixels and two on every side"
    # The best free truth, not the best: the second detection turns to what the first has left.
    assert match_best_free(np.array([[0.9, 0.4], [0.8, 0.3]]), 0.25).tolist() == [True, True]
    assert match_best_free(np.array([[0.9, 0.4], [0.8, 0.2]]), 0.25).tolist() == [True, False]
    # One of two found: precision 1 at the recalls 0, 0.01 ... 0.5.
    assert recall_sampled_ap(np.array([True]), 2) == pytest.approx(51 / 101)
