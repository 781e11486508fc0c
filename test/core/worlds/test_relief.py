# SPDX-License-Identifier: Apache-2.0
"""Relief: heights and slopes as worked by hand, frames tangent on it, and worlds as hilly as they are meant to be."""

import numpy as np
import pytest

from mapkd_core.geometry import apply, inverse, planar
from mapkd_core.worlds.relief import DRAWN_AT_M, FLAT, Relief, draw_relief, relief_of


def test_a_wave_has_the_height_and_slope_of_its_sine():
    """2 m high, 40 m long along x: at x = 5 the sine is at 45 degrees, at x = 10 at its crest."""
    relief = Relief(np.array([[2.0, 2 * np.pi / 40, 0.0, 0.0]]))
    assert relief.height([[0.0, 3.0], [5.0, -7.0], [10.0, 0.0]]) == pytest.approx([0.0, 2**0.5, 2.0])
    slope = 2 * 2 * np.pi / 40
    assert relief.gradient([[0.0, 3.0], [10.0, 0.0]]) == pytest.approx(np.array([[slope, 0.0], [0.0, 0.0]]), abs=1e-12)


def test_a_lifted_frame_lies_tangent_and_keeps_its_heading():
    relief = relief_of(0.2, np.random.default_rng(1))
    pose = planar(12.0, -30.0, 0.8)
    lifted = relief.lifted(pose)
    assert lifted[:3, :3] @ lifted[:3, :3].T == pytest.approx(np.eye(3)) and np.linalg.det(lifted) == pytest.approx(1)
    assert np.arctan2(lifted[1, 0], lifted[0, 0]) == pytest.approx(0.8)
    assert lifted[:2, 3] == pytest.approx([12, -30]) and lifted[2, 3] == pytest.approx(relief.height([12.0, -30.0]))
    around = np.array([12.0, -30.0]) + 0.05 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    seen = apply(inverse(lifted), np.column_stack([around, relief.height(around)]))
    assert np.abs(seen[:, 2]).max() < 1e-5
    assert FLAT.lifted(pose) is pose


def test_seen_from_a_vehicle_it_is_the_height_above_its_plane():
    relief = relief_of(0.2, np.random.default_rng(2))
    pose = planar(5.0, 8.0, 2.0)
    around = np.random.default_rng(3).uniform(-30, 30, (200, 2))
    in_map = around @ pose[:2, :2].T + pose[:2, 3]
    exact = apply(inverse(relief.lifted(pose)), np.column_stack([in_map, relief.height(in_map)]))
    seen = relief.seen_from(pose)
    assert seen.height((0.0, 0.0)) == pytest.approx(0.0) and seen.gradient((0.0, 0.0)) == pytest.approx([0, 0])
    assert np.abs(seen.height(around) - exact[:, 2]).max() < 0.004
    assert np.abs(exact[:, :2] - around).max() < 0.15  # horizontal distances stand for those along the plane


@pytest.mark.parametrize("here_T_there", [planar(3.0, -2.0, 1.1), np.diag([1.0, -1.0, 1.0, 1.0])])
def test_told_in_another_frame_the_ground_is_the_same(here_T_there):
    relief = relief_of(0.1, np.random.default_rng(4)).seen_from(planar(7.0, 7.0, 0.3))
    there = np.random.default_rng(5).uniform(-20, 20, (50, 2))
    here = there @ here_T_there[:2, :2].T + here_T_there[:2, 3]
    assert relief.told_in(here_T_there).height(there) == pytest.approx(relief.height(here))


def test_worlds_are_as_hilly_as_they_are_meant_to_be():
    """Deviation of the height above the vehicle's plane 30 m away: 0.02 to 0.25 m, median 0.08 m; some are flat."""
    rng = np.random.default_rng(0)
    reliefs = [draw_relief(seed) for seed in range(300)]
    flat = sum(relief.is_flat for relief in reliefs)
    assert 25 < flat < 70
    deviations, steepest = [], []
    for relief in reliefs:
        if not relief.is_flat:
            at, bearing = rng.uniform(-500, 500, (300, 2)), rng.uniform(0, 2 * np.pi, 300)
            away = DRAWN_AT_M * np.stack([np.cos(bearing), np.sin(bearing)], -1)
            slopes = relief.gradient(at)
            deviations.append((relief.height(at + away) - relief.height(at) - (slopes * away).sum(-1)).std())
            steepest.append(np.quantile(np.hypot(*slopes.T), 0.98))
    assert min(deviations) > 0.015 and 0.2 < max(deviations) < 0.3
    assert np.median(deviations) == pytest.approx(0.08, abs=0.015)
    assert 0.035 < max(steepest) < 0.065


def test_the_same_seed_gives_the_same_relief():
    seed = next(s for s in range(20) if not draw_relief(s).is_flat)
    assert np.array_equal(draw_relief(seed).waves, draw_relief(seed).waves)
    assert not np.array_equal(draw_relief(seed).waves, draw_relief(seed + 1).waves)
