# SPDX-License-Identifier: Apache-2.0
"""The body on its springs: smooth, small, nose down when braking, outwards in bends, and the same for the same seed."""

import numpy as np
import pytest

from mapkd_core.worlds.suspension import Suspension


def drive(speeds: np.ndarray, yaw_rate: float = 0.0) -> np.ndarray:
    """10 Hz poses with these speeds."""
    yaw = yaw_rate * 0.1 * np.arange(len(speeds))
    steps = 0.1 * speeds[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], -1)
    place = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)[:-1]])
    return np.column_stack([0.1 * np.arange(len(speeds)), place, yaw])


def angles(body: Suspension, times: np.ndarray) -> np.ndarray:
    """T x 2 roll and pitch in degrees."""
    tilts = np.array([body.tilt(t)[:3, :3] for t in times])
    return np.degrees(np.stack([np.arctan2(tilts[:, 2, 1], tilts[:, 2, 2]), np.arcsin(-tilts[:, 2, 0])], -1))


TIMES = np.arange(1.0, 59.0, 0.02)


def test_the_body_swings_by_tenths_of_a_degree():
    found = np.array([angles(Suspension(drive(np.full(600, 10.0)), seed), TIMES) for seed in range(8)])
    roll, pitch = found.reshape(-1, 2).std(axis=0)
    assert 0.05 < roll < 0.25 and 0.07 < pitch < 0.3  # at 10 m/s, straight on; more of it hides metres at 20 m
    assert np.abs(found).max() < 4


def test_it_swings_smoothly():
    """A body of 1.3 Hz: from one camera frame to the next (1/12 s) most of its angle stays; in 5 ms nearly all."""
    found = angles(Suspension(drive(np.full(600, 10.0)), 1), TIMES)
    swing = found - found.mean(axis=0)
    near = np.abs(np.diff(swing, axis=0)).mean(axis=0)
    assert (near < 0.25 * swing.std(axis=0)).all()
    assert np.corrcoef(swing[4:, 1], swing[:-4, 1])[0, 1] > 0.6
    body = Suspension(drive(np.full(600, 10.0)), 1)
    assert np.abs(angles(body, TIMES[:500] + 0.005) - angles(body, TIMES[:500])).max() < 0.2


def test_braking_lowers_the_nose_and_bends_roll_the_body_outwards():
    """3 m/s^2 for 4 s: 1.5 deg/g give 0.46 degrees; 10 m/s at 0.3 rad/s to the left: 3 m/s^2, 1.2 to the right."""
    speeds = np.concatenate([np.full(100, 14.0), np.linspace(14, 2, 40), np.full(100, 2.0)])
    while_braking, before = np.arange(11.0, 13.5, 0.02), np.arange(2.0, 9.0, 0.02)
    dive = [
        angles(b, while_braking)[:, 1].mean() - angles(b, before)[:, 1].mean()
        for b in (Suspension(drive(speeds), s) for s in range(12))
    ]
    assert np.mean(dive) == pytest.approx(0.46, abs=0.12)
    lean = [angles(Suspension(drive(np.full(300, 10.0), 0.3), s), TIMES[:1400])[:, 0].mean() for s in range(12)]
    assert np.mean(lean) == pytest.approx(1.22, abs=0.2)


def test_a_standing_vehicle_is_still():
    found = angles(Suspension(drive(np.zeros(100)), 3), np.arange(0.5, 9.0, 0.1))
    assert np.ptp(found, axis=0) == pytest.approx([0, 0], abs=1e-9)


def test_the_same_seed_swings_the_same():
    ego = drive(np.full(100, 8.0))
    assert np.array_equal(Suspension(ego, 5).tilt(3.3), Suspension(ego, 5).tilt(3.3))
    assert not np.allclose(Suspension(ego, 5).tilt(3.3), Suspension(ego, 6).tilt(3.3))
    one = ego[:1]
    assert np.isfinite(Suspension(one, 5).tilt(0.0)).all()
