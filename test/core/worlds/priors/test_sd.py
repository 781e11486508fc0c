# SPDX-License-Identifier: Apache-2.0
"""The error of made SD lines has the statistics that it is said to have."""

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.worlds import polylines, procedural
from mapkd_core.worlds.priors.sd import SdError, smooth_field, with_error

STRAIGHT = np.array([[0.0, 0.0], [400.0, 0.0]])
NOTHING = SdError(0.0, 0.0, 0.0, 40.0, 0.0, 0.0)


def test_no_error_leaves_the_line_where_it_is():
    (line,), kept = with_error([STRAIGHT], np.random.default_rng(0), NOTHING)
    assert kept == [0]
    assert line[:, 1] == pytest.approx(0) and line[[0, -1], 0] == pytest.approx([0, 400])
    # Thinned to two vertices, then one at most every 15 m: 27 pieces.
    assert len(line) == 28


def test_bends_survive_the_thinning_within_its_tolerance():
    angle = np.linspace(0, np.pi, 200)
    bend = 60.0 * np.stack([np.cos(angle), np.sin(angle)], -1)
    (line,), _ = with_error([bend], np.random.default_rng(0), replace(NOTHING, tolerance_m=0.5))
    assert 8 < len(line) < 40
    inside = 60.0 - np.hypot(*polylines.resampled(line, 1.0).T)
    assert inside.max() <= 0.55


def test_shift_is_common_and_road_offsets_are_not():
    lines = [STRAIGHT + (0.0, 50.0 * i) for i in range(300)]
    common, _ = with_error(lines, np.random.default_rng(1), replace(NOTHING, shift_m=3.0))
    moved = np.array([line[0] - true[0] for line, true in zip(common, lines, strict=True)])
    assert np.ptp(moved, axis=0) == pytest.approx([0, 0], abs=1e-9) and np.abs(moved).max() > 0.1
    each, _ = with_error(lines, np.random.default_rng(1), replace(NOTHING, road_m=1.5))
    moved = np.array([line[0] - true[0] for line, true in zip(each, lines, strict=True)])
    assert moved.std(axis=0) == pytest.approx([1.5, 1.5], rel=0.12)


def test_map_shifts_have_the_stated_deviation():
    error = replace(NOTHING, shift_m=2.5)
    shifts = [with_error([STRAIGHT], np.random.default_rng(seed), error)[0][0][0] for seed in range(300)]
    assert np.std(shifts, axis=0) == pytest.approx([2.5, 2.5], rel=0.12)


def test_field_has_the_stated_deviation_and_correlation():
    """exp(-d^2 / 2 l^2): 0.607 at d = l, 0.135 at d = 2 l."""
    at = np.array([[0.0, 0.0], [40.0, 0.0], [0.0, 80.0]])
    values = np.array([smooth_field(np.random.default_rng(seed), 40.0)(at) for seed in range(1500)])
    assert values.std(axis=0) == pytest.approx(np.ones((3, 2)), rel=0.08)
    assert (values[:, 0] * values[:, 1]).mean(axis=0) == pytest.approx([0.607, 0.607], abs=0.08)
    assert (values[:, 0] * values[:, 2]).mean(axis=0) == pytest.approx([0.135, 0.135], abs=0.08)
    assert abs((values[..., 0] * values[..., 1]).mean()) < 0.05


def test_stated_share_of_roads_is_missing():
    lines = [STRAIGHT + (0.0, 50.0 * i) for i in range(1000)]
    found, kept = with_error(lines, np.random.default_rng(3), replace(NOTHING, dropped=0.2))
    assert len(found) == len(kept) == pytest.approx(800, abs=40)
    assert kept == sorted(set(kept)) and found[5][0] == pytest.approx(lines[kept[5]][0])


def test_procedural_worlds_carry_it_and_repeat():
    one, again = (procedural.make_road_map(300_003).sd_roads for _ in range(2))
    assert one and all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))


@pytest.mark.parametrize("wrong", [{"dropped": 1.2}, {"shift_m": -1.0}, {"field_length_m": 0.0}])
def test_impossible_errors_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SdError(**wrong)
