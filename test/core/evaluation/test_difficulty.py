# SPDX-License-Identifier: Apache-2.0
"""IoU by light and by sight: a grid of 2 x 4 cells, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.evaluation.difficulty import Difficulty
from mapkd_core.grid import BevGrid

GRID = BevGrid(0.0, 4.0, 0.0, 2.0, 1.0)
CLASSES = ("divider", "boundary")
TRUTH = np.array([[1, 1, 1, 1], [0, 0, 2, 2]], np.uint8)
FOUND = np.array([[1, 0, 1, 0], [1, 0, 2, 0]], np.uint8)
SEEN = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)


def test_the_light_of_a_frame_decides_where_it_counts():
    difficulty = Difficulty(GRID, CLASSES)
    difficulty.add(FOUND, TRUTH, CLASSES, "sun", None)
    difficulty.add(TRUTH, TRUTH, CLASSES, "night", None)
    difficulty.add(TRUTH, TRUTH, CLASSES, "sun", None)
    difficulty.add(FOUND, TRUTH, CLASSES, "", None)  # light unknown: nowhere
    # Divider: 2 of 5 cells in the first frame, 4 of 4 in the third. Boundary: 1 of 2, and 2 of 2.
    assert difficulty.by_light() == {
        "night": {"divider": 1, "boundary": 1},
        "sun": {"divider": 6 / 9, "boundary": 3 / 4},
    }
    assert difficulty.frames_by_light == {"sun": 2, "night": 1}
    assert difficulty.by_sight() == {} and difficulty.truth_by_sight() == {}


def test_seen_and_hidden_ground_are_scored_apart():
    difficulty = Difficulty(GRID, CLASSES)
    difficulty.add(FOUND, TRUTH, CLASSES, "", SEEN)
    # Seen: divider 1 hit, 1 missed, 1 false; boundary 1 hit, 1 missed. Hidden: divider 1 hit, 1 missed.
    assert difficulty.by_sight()["seen"] == {"divider": 1 / 3, "boundary": 1 / 2}
    assert difficulty.by_sight()["hidden"]["divider"] == 1 / 2 and np.isnan(difficulty.by_sight()["hidden"]["boundary"])
    assert (
        difficulty.truth_by_sight() == {"seen": 4 / 6, "hidden": 2 / 6, "in no picture": 0.0}
        and difficulty.by_light() == {}
    )


def test_ground_in_no_picture_is_told_from_hidden_ground():
    difficulty = Difficulty(GRID, CLASSES)
    pictured = SEEN.copy()
    pictured[0, :3] = (False, True, True)  # what is seen is in a picture, whatever a coarser mask says
    difficulty.add(FOUND, TRUTH, CLASSES, "", SEEN, pictured)
    # Hidden: the third divider cell, found. In no picture: the fourth, missed.
    assert (
        difficulty.by_sight()["hidden"]["divider"] == 1.0 and difficulty.by_sight()["in no picture"]["divider"] == 0.0
    )
    assert difficulty.truth_by_sight() == {"seen": 4 / 6, "hidden": 1 / 6, "in no picture": 1 / 6}


def test_classes_without_truth_do_not_count():
    difficulty = Difficulty(GRID, CLASSES)
    difficulty.add(FOUND, TRUTH, ["divider"], "rain", SEEN)
    assert np.isnan(difficulty.by_light()["rain"]["boundary"]) and difficulty.truth_by_sight()["seen"] == 2 / 4


def test_a_mask_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 2\), the grid has \(2, 4\)"):
        Difficulty(GRID, CLASSES).add(FOUND, TRUTH, CLASSES, "", SEEN.T)
