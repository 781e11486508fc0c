# SPDX-License-Identifier: Apache-2.0
"""What HDMapNet's and P-MapNet's released code answers on small cases, and what the corrected forms answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.evaluation.raster_ap import HDMAPNET, PMAPNET, RasterApAccumulator, RasterProtocol, match_globally
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

GRID = BevGrid()
HD, PM = replace(HDMAPNET, thresholds_m=(0.5,)), replace(PMAPNET, thresholds_m=(0.5,))


def line(y: float, score: float = 1.0, x: tuple[float, float] = (-10.0, 10.0)) -> MapElement:
    return MapElement("divider", np.array([[x[0], y], [x[1], y]]), confidence=score)


TRUTH = [line(-5), line(5)]
CASES = {
    "exact": ([line(-5, 0.9), line(5, 0.8)], 1.0, 1.0),
    "false alarm below": ([line(-5, 0.9), line(0, 0.1)], 0.25, 0.25),
    "false alarm above": ([line(-5, 0.1), line(0, 0.9)], 0.5, 0.5),
    "two false alarms below": ([line(-5, 0.9), line(5, 0.8), line(0, 0.2), line(2, 0.1)], 0.5, 0.5),
    "fragments": ([line(-5, 0.9, (-10, -7)), line(5, 0.8, (-10, -7))], 0.0, 1.0),
    "shifted by 0.4 m": ([line(-4.6, 0.9), line(5.4, 0.8)], 1.0, 1.0),
}


def ap(protocol: RasterProtocol, frames: list, as_released: bool) -> float:
    accumulator = RasterApAccumulator(protocol, GRID, as_released=as_released)
    for predicted, truth in frames:
        accumulator.add(predicted, truth)
    return accumulator.ap()["divider"][0.5]


@pytest.mark.parametrize("case", CASES)
def test_as_released(case: str) -> None:
    predicted, hdmapnet, pmapnet = CASES[case]
    assert ap(HD, [(predicted, TRUTH)], True) == pytest.approx(hdmapnet)
    assert ap(PM, [(predicted, TRUTH)], True) == pytest.approx(pmapnet)


def test_as_released_averages_frames_and_punishes_frames_without_truth() -> None:
    frames = [([line(0)], [line(0)]), ([], [line(y) for y in range(-5, 4)])]
    assert ap(HD, frames, True) == ap(PM, frames, True) == pytest.approx(0.5)
    assert ap(HD, [([line(0)], [line(0)]), ([line(0)], [])], True) == pytest.approx(0.5)
    assert ap(HD, [([line(0)], [line(0)]), ([], [])], True) == 1.0


def test_corrected_rewards_a_good_ranking_and_pools_frames() -> None:
    assert ap(HD, [(CASES["false alarm below"][0], TRUTH)], False) == pytest.approx(0.5)
    assert ap(HD, [(CASES["false alarm above"][0], TRUTH)], False) == pytest.approx(0.25)
    frames = [([line(0)], [line(0)]), ([], [line(y) for y in range(-5, 4)])]
    assert ap(HD, frames, False) == pytest.approx(0.1)


def test_the_smallest_distance_is_matched_first_and_a_forbidden_pair_is_used_up() -> None:
    distance = np.array([[0.3, 0.1], [0.2, 0.15]])
    everything = np.ones((2, 2), bool)
    assert match_globally(distance, everything, 0.5).tolist() == [True, True]
    assert match_globally(distance, everything, 0.18).tolist() == [True, False]
    forbidden = np.array([[True, False], [True, True]])  # the nearest pair fails the overlap gate
    assert match_globally(distance, forbidden, 0.5).tolist() == [False, True]


def test_pmapnet_wants_some_overlap() -> None:
    # Parallel to the truth and 0.75 m off no cell is shared, though the distance is below 1.5 m.
    protocol = replace(PMAPNET, thresholds_m=(1.5,))
    far = RasterApAccumulator(protocol, GRID)
    far.add([line(0.9)], [line(0)])
    assert far.ap()["divider"][1.5] == 0.0


def test_seven_of_ten_do_not_reach_a_recall_of_seven_tenths_as_released() -> None:
    truth = [line(1.4 * y) for y in range(-5, 5)]
    assert ap(HD, [(truth[:7], truth)], True) == pytest.approx(0.6)
    assert ap(HD, [(truth[:7], truth)], False) == pytest.approx(0.7)


def test_a_line_that_is_painted_over_is_not_seen_as_released() -> None:
    twice = [line(-5, 0.9), line(-5, 0.8), line(5, 0.7)]
    assert ap(HD, [(twice, TRUTH)], True) == 1.0
    assert ap(HD, [(twice, TRUTH)], False) == pytest.approx((5 * 1.0 + 5 * 2 / 3) / 10)


def test_at_equal_scores_the_released_code_takes_hits_first() -> None:
    false_alarm_first = [line(0, 0.5), line(-5, 0.5), line(5, 0.5)]
    assert ap(HD, [(false_alarm_first, TRUTH)], True) == 1.0
    # In the order of the file: 0 of 1, 1 of 2, 2 of 3.
    assert ap(HD, [(false_alarm_first, TRUTH)], False) == pytest.approx(2 / 3)


def test_a_pair_with_too_little_overlap_uses_up_its_truth_as_released_only() -> None:
    # A fragment of 5 % lies on the truth, its mask IoU below 0.1; the other prediction is 0.15 m off, its IoU above.
    frames = [([line(0, 0.9, (0, 0.5)), line(0.15, 0.8)], [line(0)])]
    assert ap(PM, frames, True) == 0.0
    assert ap(PM, frames, False) == pytest.approx(0.5)
