# SPDX-License-Identifier: Apache-2.0
"""IoU worked by hand on small label arrays."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.evaluation.iou import IouAccumulator, argmax_labels, mean
from mapkd_core.grid import BevGrid

GRID = BevGrid(-4.0, 4.0, -2.0, 2.0, 1.0)  # 4 x 8 cells
CLASSES = ("divider", "boundary")


def blank() -> np.ndarray:
    return np.zeros(GRID.shape, np.uint8)


def test_intersection_and_union_are_summed_before_they_are_divided() -> None:
    accumulator = IouAccumulator(GRID, CLASSES)
    truth, predicted = blank(), blank()
    truth[0, :4], predicted[0, 2:6] = 1, 1  # 2 of 6
    accumulator.add(predicted, truth)
    predicted, truth = blank(), blank()
    predicted[1, :2], truth[1, :2] = 1, 1  # 2 of 2
    accumulator.add(predicted, truth)
    assert accumulator.iou()["divider"] == pytest.approx(4 / 8)  # not the mean of 1/3 and 1
    assert np.isnan(accumulator.iou()["boundary"])


def test_a_confused_class_counts_against_both() -> None:
    accumulator = IouAccumulator(GRID, CLASSES)
    truth, predicted = blank(), blank()
    truth[0, :3], truth[0, 3:5] = 1, 2
    predicted[0, :2], predicted[0, 2:5] = 1, 2
    accumulator.add(predicted, truth)
    assert accumulator.iou() == {"divider": pytest.approx(2 / 3), "boundary": pytest.approx(2 / 3)}


def test_a_class_without_labels_adds_nothing_to_its_score() -> None:
    accumulator = IouAccumulator(GRID, CLASSES)
    truth, predicted = blank(), blank()
    truth[0, :2], predicted[0, :2], predicted[1, :5] = 1, 1, 2
    accumulator.add(predicted, truth, labelled=["divider"])
    assert accumulator.iou()["divider"] == 1.0 and np.isnan(accumulator.iou()["boundary"])


def test_unobserved_cells_do_not_count() -> None:
    truth, predicted = blank(), blank()
    truth[0, :4], predicted[0, :2] = 1, 1
    observed = np.ones(GRID.shape, bool)
    observed[:, 2:] = False
    accumulator = IouAccumulator(GRID, CLASSES)
    accumulator.add(predicted, truth, observed=observed)
    assert accumulator.iou()["divider"] == 1.0


def test_distance_bands() -> None:
    accumulator = IouAccumulator(GRID, CLASSES, band_edges_m=(0.0, 2.0, 4.0))
    truth, predicted = blank(), blank()
    # Cell centres of row 2 (y = 0.5) lie 0.71, 1.58, 2.55 and 3.54 m ahead.
    truth[2, 4:8], predicted[2, 4:7] = 1, 1
    accumulator.add(predicted, truth)
    by_distance = accumulator.iou_by_distance()
    assert by_distance["0-2"]["divider"] == 1.0 and by_distance["2-4"]["divider"] == 0.5
    assert accumulator.iou()["divider"] == 0.75


def test_argmax_gives_background_what_the_classes_leave() -> None:
    probability = np.array([[[0.3, 0.4, 0.2]], [[0.1, 0.3, 0.5]]])
    assert argmax_labels(probability).tolist() == [[0, 1, 2]]
    assert argmax_labels(np.round(probability * 255).astype(np.uint8)).tolist() == [[0, 1, 2]]


def test_mean_leaves_out_what_is_not_a_number() -> None:
    assert mean([0.2, float("nan"), 0.4]) == pytest.approx(0.3) and np.isnan(mean([float("nan")]))


def test_wrong_arrays_are_named() -> None:
    accumulator = IouAccumulator(GRID, CLASSES)
    with pytest.raises(ValueError, match="shape"):
        accumulator.add(np.zeros((3, 3), np.uint8), blank())
    with pytest.raises(ValueError, match="label 3"):
        accumulator.add(blank() + 3, blank())
