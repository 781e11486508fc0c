# SPDX-License-Identifier: Apache-2.0
"""MapTracker's consistency AP, worked by hand: one truth, two frames."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.evaluation.map_files import ScoredElement
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Settings


def line(track: int | None, score: float = 1.0, y: float = 0.0) -> ScoredElement:
    return ScoredElement("divider", np.array([[-10.0, y], [10.0, y]]), False, score, track)


def c_ap(frames: list, as_released: bool = False, scenes: str = "aaaa") -> float:
    scorer = PROTOCOLS["cmap"].make(Settings(classes=("divider",), thresholds=(1.0,), as_released=as_released))
    for i, (predicted, truth) in enumerate(frames):
        scorer.add(ScoredFrame(str(i), predicted, truth, scenes[i]))
    return scorer.scores().mean


def test_a_track_that_goes_on_is_right_and_a_new_one_is_a_false_alarm() -> None:
    assert c_ap([([line(7)], [line(1)]), ([line(7)], [line(1)])]) == 1.0
    assert c_ap([([line(7, 0.9)], [line(1)]), ([line(8, 0.8)], [line(1)])]) == pytest.approx(0.5)
    assert c_ap([([line(7)], [line(1)]), ([line(8)], [line(1)])], scenes="ab") == 1.0, "another scene starts afresh"
    # 7, 8, 7: the first track stays the right one.
    assert c_ap([([line(n, s)], [line(1)]) for n, s in ((7, 0.9), (8, 0.1), (7, 0.8))]) == pytest.approx(2 / 3)


def test_false_alarms_in_frames_without_truth_cost_nothing_as_released() -> None:
    frames = [([line(7, 0.5)], [line(1)]), ([line(9, 0.9)], [])]
    assert c_ap(frames, as_released=True) == 1.0
    assert c_ap(frames) == pytest.approx(0.5)


def test_of_two_lines_with_one_number_the_released_code_judges_by_the_last() -> None:
    # In the second frame the line on the truth shares its number with one off it, which comes later in the list.
    frames = [([line(7, 0.9), line(5, 0.1, 9)], [line(1)]), ([line(7, 0.8), line(7, 0.1, 9)], [line(1)])]
    assert c_ap(frames) == 1.0
    assert c_ap(frames, as_released=True) == pytest.approx(0.5), "7 is no longer the track of the misses, which is 5"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="predicted divider without track"):
        c_ap([([line(None)], [line(1)])])
    scorer = PROTOCOLS["cmap"].make(Settings())
    with pytest.raises(ValueError, match="frame x is in no scene"):
        scorer.add(ScoredFrame("x", [], []))
