# SPDX-License-Identifier: Apache-2.0
"""MapTR's AP: numbers worked by hand, the probe table of the peers, and a second way to the same answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.evaluation.chamfer_ap import ChamferApAccumulator, average_precision, chamfer, match, resample
from mapkd_core.types import MapElement


def line(y: float, score: float = 1.0, x: tuple[float, float] = (-10.0, 10.0), name: str = "divider") -> MapElement:
    return MapElement(name, np.array([[x[0], y], [x[1], y]]), confidence=score)


def ap_at(predicted: list[MapElement], truth: list[MapElement], threshold: float = 0.5) -> float:
    accumulator = ChamferApAccumulator()
    accumulator.add(predicted, truth)
    return accumulator.ap()["divider"][threshold]


TRUTH = [line(-5), line(5)]


def test_resampling_is_even_along_the_line_and_a_ring_returns_to_its_start() -> None:
    assert resample(np.array([[0, 0], [1, 0], [1, 3]]), False, 5).tolist() == [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3]]
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    assert resample(square, True, 5).tolist() == [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


def test_chamfer_is_the_mean_of_both_directions() -> None:
    # There: 0 and 3 m, mean 1.5. Back: 0 and 1 (to the nearer of the two), mean 0.5.
    assert chamfer(np.array([[0.0, 0], [4, 0]]), np.array([[0.0, 0], [1, 0]])) == pytest.approx(1.0)
    assert chamfer(np.array([[0.0, 0], [1, 0]]), np.array([[0.0, 0.4], [1, 0.4]])) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([line(-5, 0.9), line(5, 0.8)], 1.0),
        ([line(-5, 0.9), line(0, 0.1)], 0.5),
        ([line(-5, 0.1), line(0, 0.9)], 0.25),
        ([line(-5, 0.9), line(5, 0.8), line(0, 0.2), line(2, 0.1)], 1.0),
        ([line(-5, 0.9, (-10, -7)), line(5, 0.8, (-10, -7))], 0.0),
        ([line(-4.6, 0.9), line(5.4, 0.8)], 1.0),
        ([], 0.0),
    ],
    ids=["exact", "false-alarm-low", "false-alarm-high", "two-low-false-alarms", "fragments", "shifted-0.4", "nothing"],
)
def test_what_the_released_code_answers_on_small_cases(predicted: list[MapElement], expected: float) -> None:
    assert ap_at(predicted, TRUTH) == pytest.approx(expected)


def test_frames_are_pooled_not_averaged() -> None:
    accumulator = ChamferApAccumulator()
    accumulator.add([line(0)], [line(0)])
    accumulator.add([], [line(y) for y in range(9)])
    assert accumulator.ap()["divider"][0.5] == pytest.approx(0.1)


def test_a_duplicate_is_a_false_alarm_even_where_another_truth_is_free() -> None:
    # Both look at y = 0 first; the second does not turn to y = 0.8 although it lies within 1 m.
    hits = match(np.array([[0.0, 0.8], [0.1, 0.7]]), np.array([0.9, 0.8]), 1.0)
    assert hits.tolist() == [True, False]


def test_a_reversed_line_and_a_ring_that_starts_elsewhere_are_the_same() -> None:
    assert ap_at([line(-5, 0.9, (10, -10)), line(5, 0.8)], TRUTH) == 1.0
    corners = np.array([[0, 0], [4, 0], [4, 2], [0, 2]], float)
    accumulator = ChamferApAccumulator()
    turned = MapElement("ped_crossing", np.roll(corners, 2, axis=0)[::-1], True)
    accumulator.add([turned], [MapElement("ped_crossing", corners, True)])
    assert accumulator.ap()["ped_crossing"][0.5] == 1.0


def test_no_truth_gives_no_number_and_unlabelled_classes_no_false_alarm() -> None:
    assert np.isnan(ap_at([line(0)], []))
    accumulator = ChamferApAccumulator()
    accumulator.add([line(0), line(3, name="boundary")], [line(0)], labelled=["divider"])
    accumulator.add([], [line(0, name="boundary")])
    assert accumulator.detections["boundary"] == 0 and accumulator.truths["boundary"] == 1


def test_false_alarms_in_frames_without_truth_count() -> None:
    accumulator = ChamferApAccumulator()
    accumulator.add([line(0, 0.9)], [])
    accumulator.add([line(0, 0.5)], [line(0)])
    assert accumulator.ap()["divider"][0.5] == pytest.approx(0.5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=12), st.integers(1, 8))
def test_the_area_agrees_with_a_sum_over_recall_steps(detections: list[tuple[bool, int]], extra: int) -> None:
    hits = np.array([hit for hit, _ in detections], bool)
    scores = np.array([score for _, score in detections], float)
    truths = int(hits.sum()) + extra - 1
    if truths:
        assert average_precision(hits, scores, truths) == pytest.approx(_area_by_recall(hits, scores, truths))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_whole_protocol_agrees_with_a_plain_second_implementation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [(_random_lines(rng), _random_lines(rng)) for _ in range(3)]
    accumulator = ChamferApAccumulator(points=20)
    for predicted, truth in frames:
        accumulator.add(predicted, truth)
    for threshold, value in accumulator.ap()["divider"].items():
        assert value == pytest.approx(_plain_ap(frames, threshold, 20), nan_ok=True)


def _random_lines(rng: np.random.Generator) -> list[MapElement]:
    return [
        MapElement(
            "divider",
            rng.uniform(-1.5, 1.5, (int(rng.integers(2, 5)), 2)),
            bool(rng.random() < 0.3),
            float(rng.random()),
        )
        for _ in range(int(rng.integers(0, 5)))
    ]


def _area_by_recall(hits: np.ndarray, scores: np.ndarray, truths: int) -> float:
    """For every recall step 1/truths: the best precision of any prefix that reaches it."""
    ranked = [bool(hits[i]) for i in sorted(range(len(hits)), key=lambda i: -scores[i])]
    prefixes = [(sum(ranked[: n + 1]), n + 1) for n in range(len(ranked))]
    steps = [
        max((found / n for found, n in prefixes if found >= wanted), default=0.0) for wanted in range(1, truths + 1)
    ]
    return sum(steps) / truths


def _plain_ap(frames: list, threshold: float, points: int) -> float:
    """Loops only: own resampling, own distance, own matching."""
    pooled, truths = [], 0
    for predicted, truth in frames:
        truths += len(truth)
        taken: list[int] = []
        for element in sorted(predicted, key=lambda e: -e.confidence):
            distances = [_plain_chamfer(_walk(element, points), _walk(other, points)) for other in truth]
            nearest = distances.index(min(distances)) if distances else -1
            hit = nearest >= 0 and distances[nearest] <= threshold and nearest not in taken
            taken += [nearest] if hit else []
            pooled.append((element.confidence, hit))
    if not truths:
        return float("nan")
    return _area_by_recall(np.array([hit for _, hit in pooled]), np.array([score for score, _ in pooled]), truths)


def _walk(element: MapElement, points: int) -> list[tuple[float, float]]:
    corners = [tuple(v) for v in element.vertices_m] + ([tuple(element.vertices_m[0])] if element.is_closed else [])
    pieces = list(pairwise(corners))
    lengths = [float(np.hypot(b[0] - a[0], b[1] - a[1])) for a, b in pieces]
    samples = []
    for k in range(points):
        rest, piece = sum(lengths) * k / (points - 1), 0
        while piece < len(pieces) - 1 and rest > lengths[piece]:
            rest, piece = rest - lengths[piece], piece + 1
        (ax, ay), (bx, by) = pieces[piece]
        t = min(rest / lengths[piece], 1.0) if lengths[piece] else 0.0
        samples.append((ax + t * (bx - ax), ay + t * (by - ay)))
    return samples


def _plain_chamfer(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> float:
    there = sum(min(np.hypot(p[0] - q[0], p[1] - q[1]) for q in b) for p in a) / len(a)
    back = sum(min(np.hypot(p[0] - q[0], p[1] - q[1]) for p in a) for q in b) / len(b)
    return float(there + back) / 2


def test_flat_ends_refuse_pieces_of_one_line_end_to_end() -> None:
    # Two metres of a line and the next two: each point is 1.1 m from the other's end in the mean, so 1.5 m suffices.
    def ap(flat_caps: bool, gap_m: float) -> float:
        accumulator = ChamferApAccumulator(flat_caps=flat_caps)
        accumulator.add([line(0, x=(0, 2))], [line(0, x=(2 + gap_m, 4 + gap_m))])
        return accumulator.ap()["divider"][1.5]

    assert ap(False, 0.1) == 1.0 and ap(True, 0.1) == 0.0
    assert ap(True, -0.1) == 1.0, "as soon as they overlap the released code takes them"


def test_equal_scores_go_to_the_first() -> None:
    assert match(np.array([[0.2], [0.1]]), np.array([0.5, 0.5]), 1.0).tolist() == [True, False]
    # Three of one score, the hit in the middle: precision 1/2 at the only recall there is.
    assert average_precision(np.array([False, True, False]), np.full(3, 0.5), 1) == pytest.approx(0.5)
