# SPDX-License-Identifier: Apache-2.0
"""How the body pitches and rolls on its springs along a drive: smooth in time, and told by no calibration.

The body is a damped oscillator per axis (quarter-car model): braking, accelerating and bends load it, the road's
roughness shakes it the more the faster it drives, and single bumps hit it. The load leaves a constant part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import Matrix, from_euler, transform

RATE_HZ = 50.0
BODY_HZ, DAMPING = 1.3, 0.35
# Standard deviations in radians: what the road shakes at ROUGH_AT_M_S (roll, pitch), and the load of the vehicle.
SHAKEN_RAD, LOADED_RAD, ROUGH_AT_M_S = np.radians((0.08, 0.1)), np.radians((0.05, 0.06)), 10.0
# Radians per m/s^2: 4 degrees of roll per g in bends, 1.5 degrees of pitch per g of braking.
PER_ACCELERATION = np.radians((4.0, 1.5)) / 9.81
BUMPS_PER_S, BUMP_RAD = 0.15, np.radians(0.35)
SMOOTHED_S = 0.7  # speeds come from 10 Hz poses: their noise is no acceleration
MOST_M_S2 = 4.0


class Suspension:
    """Tilt of the body over one drive (N x 4 time x y yaw, strictly rising times), drawn from `seed`."""

    def __init__(self, ego: NDArray[np.float64], seed: int) -> None:
        rng = np.random.default_rng([seed, 0x5B5])
        self._times = np.arange(ego[0, 0] - 1.0, ego[-1, 0] + 1.0, 1 / RATE_HZ)
        speed, loads = _loads(ego, self._times)
        shaken = rng.standard_normal((len(self._times), 2)) * _noise_gain() * SHAKEN_RAD
        shaken *= np.sqrt(np.minimum(speed / ROUGH_AT_M_S, 2.0))[:, None]
        bumps = (rng.random(len(self._times)) < BUMPS_PER_S / RATE_HZ * (speed > 2.0))[:, None]
        shaken += bumps * rng.normal(0.0, BUMP_RAD, (len(self._times), 2)) * RATE_HZ / (2 * np.pi * BODY_HZ)
        self._angles = _swung(loads * PER_ACCELERATION + shaken) + rng.normal(0.0, 1.0, 2) * LOADED_RAD

    def tilt(self, time_s: float) -> Matrix:
        """ground_T_body (4x4): roll and pitch about the ego frame's origin; before and after the drive it rests."""
        roll, pitch = (float(np.interp(time_s, self._times, angles)) for angles in self._angles.T)
        return transform(from_euler(roll, pitch, 0.0), (0.0, 0.0, 0.0))


def _loads(ego: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speed (T) in m/s, and T x 2: to the left and backwards, the accelerations that roll and pitch the body."""
    yaw = np.interp(times, ego[:, 0], np.unwrap(ego[:, 3]))
    place = np.stack([np.interp(times, ego[:, 0], ego[:, i]) for i in (1, 2)], -1)
    way = np.gradient(place, 1 / RATE_HZ, axis=0)
    speed = _smoothed((way * np.stack([np.cos(yaw), np.sin(yaw)], -1)).sum(-1))
    ahead = np.gradient(speed, 1 / RATE_HZ)
    left = speed * _smoothed(np.gradient(yaw, 1 / RATE_HZ))
    # About y, which points left, positive pitch is nose down: braking. Positive roll is to the right: a left bend.
    return np.abs(speed), np.stack([left, -ahead], -1).clip(-MOST_M_S2, MOST_M_S2)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over SMOOTHED_S, twice; ends are continued."""
    reach = round(SMOOTHED_S * RATE_HZ / 2)
    window = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    for _ in range(2):
        values = np.convolve(np.pad(values, reach, mode="edge"), window, mode="valid")
    return values


def _swung(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """T x 2: angles of the oscillators that strive for the angles `rest` (semi-implicit Euler)."""
    omega, step = 2 * np.pi * BODY_HZ, 1 / RATE_HZ
    angle, rate = rest[0] * 0.0, rest[0] * 0.0
    out = np.empty_like(rest)
    for i, goal in enumerate(rest):
        rate = rate + step * (omega**2 * (goal - angle) - 2 * DAMPING * omega * rate)
        angle = angle + step * rate
        out[i] = angle
    return out


def _noise_gain() -> float:
    """Deviation of white noise, a value a step, that gives the oscillators' angles a deviation of 1.

    A damped oscillator driven by white noise of spectral density S in units of its goal has the variance
    S omega / (4 damping); S of a noise held for a step is its variance times the step.
    """
    return float(np.sqrt(4 * DAMPING / (2 * np.pi * BODY_HZ) * RATE_HZ))
