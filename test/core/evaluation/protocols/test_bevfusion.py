# SPDX-License-Identifier: Apache-2.0
"""IoU at the best threshold, by hand on four cells."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.data.rasterise import layers
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Settings
from mapkd_core.evaluation.protocols.bevfusion import IouAtThresholds, score_layers
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement


def test_sums_over_frames_and_takes_the_best_threshold_of_each_class() -> None:
    iou = IouAtThresholds(("a", "b"), (0.35, 0.5))
    truth = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 0]]], bool)
    iou.add(np.array([[[0.9, 0.4, 0.4, 0.0]], [[0.0, 0.0, 0.4, 0.0]]]), truth)
    # a: 2 of 3 at 0.35, 1 of 2 at 0.5; b, which may share cells with a: 1 of 1 at 0.35, 0 of 1 at 0.5.
    assert iou.iou() == {"a": {0.35: pytest.approx(2 / 3), 0.5: 0.5}, "b": {0.35: 1.0, 0.5: 0.0}}
    iou.add(np.zeros((2, 1, 4)), truth)  # nothing found: only the unions grow
    assert iou.iou()["a"] == {0.35: pytest.approx(2 / 5), 0.5: 0.25}


def test_refusals() -> None:
    iou = IouAtThresholds(("a",))
    with pytest.raises(ValueError, match="1 layers"):
        iou.add(np.zeros((2, 1, 4)), np.zeros((2, 1, 4), bool))
    for bad in (1.2, np.nan):
        with pytest.raises(ValueError, match=r"expected 0\.\.1"):
            iou.add(np.full((1, 1, 4), bad), np.zeros((1, 1, 4), bool))


def test_of_two_lines_on_a_cell_the_higher_score_counts_and_classes_share_cells() -> None:
    grid = BevGrid(-3.0, 3.0, -1.5, 1.5, 0.15)
    line = np.array([[-2.0, 0.0], [2.0, 0.0]])
    elements = [MapElement("divider", line, False, s) for s in (0.6, 0.4)] + [MapElement("boundary", line, False, 0.2)]
    drawn = score_layers(elements, grid, CLASSES)
    assert drawn[0].max() == 0.6 and set(np.unique(drawn[0])) == {0.0, 0.6} and drawn[2].max() == 0.2
    assert ((drawn > 0) == layers(elements, grid)).all()


def test_polylines_and_a_class_that_never_occurs() -> None:
    line = MapElement("divider", np.array([[-10.0, 0.0], [10.0, 0.0]]), confidence=0.45)
    for as_released, mean in ((False, 1.0), (True, 1 / 3)):
        scorer = PROTOCOLS["bevfusion"].make(Settings(as_released=as_released))
        scorer.add(ScoredFrame("0", [line], [line]))
        scores = scorer.scores()
        assert scores.mean == pytest.approx(mean)
        assert scores.by_class["divider"][0.45] == 1.0 and scores.by_class["divider"][0.5] == 0.0
        assert scores.detail["iou_at_0.5"]["divider"] == 0.0
