# SPDX-License-Identifier: Apache-2.0
"""Relief: how high the ground lies, z = h(x, y), as a sum of long waves, and frames that lie tangent on it.

What a network meets of it is the height above the plane that the vehicle stands on: worlds are drawn by that height at
DRAWN_AT_M. For one wave a sin(k x + phase) and a random phase its square is, in the mean over the phase,
a^2 / 2 [(cos t - 1)^2 + (sin t - t)^2] with t = k r (own derivation: value minus tangent of a sine).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import Matrix, transform

DRAWN_AT_M = 30.0
FLAT_SHARE = 0.15  # of the worlds
DEVIATION_M = (0.02, 0.25)  # of the height above the vehicle's plane at DRAWN_AT_M, log-uniform over worlds
MEDIAN_M = 0.08
LENGTHS_M = (40.0, 250.0)
STEEPEST = 0.06  # slopes of the hilliest worlds: twice their standard deviation
WAVES = 8


@dataclass(frozen=True, eq=False)
class Relief:
    """z = plane . (1, x, y) + sum of a sin(kx x + ky y + phase), metres in any planar frame.

    waves: N x 4 a, kx, ky (rad/m), phase (rad). plane: height at the origin and slope along x and y.
    """

    waves: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    plane: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    @property
    def is_flat(self) -> bool:
        """Whether it is the plane z = 0."""
        return not len(self.waves) and not self.plane.any()

    def height(self, xy_m: ArrayLike) -> NDArray[np.float64]:
        """z (...) in metres at points (..., 2)."""
        xy = np.asarray(xy_m, np.float64)
        a, k, phase = self.waves[:, 0], self.waves[:, 1:3], self.waves[:, 3]
        return self.plane[0] + xy @ self.plane[1:] + np.sin(xy @ k.T + phase) @ a

    def gradient(self, xy_m: ArrayLike) -> NDArray[np.float64]:
        """dz/dx, dz/dy (..., 2) at points (..., 2)."""
        xy = np.asarray(xy_m, np.float64)
        a, k, phase = self.waves[:, 0], self.waves[:, 1:3], self.waves[:, 3]
        return self.plane[1:] + (a * np.cos(xy @ k.T + phase)) @ k

    def lifted(self, pose: ArrayLike) -> Matrix:
        """map_T_frame (4x4) of a frame that stands tangent on the ground where the planar `pose` (4x4) says.

        Its y lies in the ground across the heading, its x keeps the heading of `pose` as seen from above.
        """
        planar = np.asarray(pose, np.float64)
        if self.is_flat:
            return planar
        slope = self.gradient(planar[:2, 3])
        (c, s), (sx, sy) = planar[:2, 0].tolist(), slope.tolist()
        rise, steep = c * sx + s * sy, math.sqrt(1 + sx * sx + sy * sy)
        along = math.sqrt(1 + rise * rise)
        x0, x1, x2 = c / along, s / along, rise / along
        z0, z1, z2 = -sx / steep, -sy / steep, 1 / steep
        y0, y1, y2 = z1 * x2 - z2 * x1, z2 * x0 - z0 * x2, z0 * x1 - z1 * x0  # z cross x
        place = (*planar[:2, 3], self.height(planar[:2, 3]))
        return transform([[x0, y0, z0], [x1, y1, z1], [x2, y2, z2]], place)

    def seen_from(self, map_T_ego: ArrayLike) -> Relief:
        """The same ground in the ego frame that stands tangent on it at the planar pose map_T_ego (4x4).

        Heights are taken along the map's z over horizontal distances: 0.2 % from the true ones on a slope of 6 %.
        """
        local = self.told_in(map_T_ego)
        origin = np.zeros(2)
        tangent = np.append(local.height(origin), local.gradient(origin))
        return Relief(local.waves, local.plane - tangent)

    def told_in(self, here_T_there: ArrayLike) -> Relief:
        """The same heights over the plane coordinates of another frame; planar 4x4, mirrors allowed."""
        m = np.asarray(here_T_there, np.float64)
        turn, shift = m[:2, :2], m[:2, 3]
        k = self.waves[:, 1:3]
        waves = np.column_stack([self.waves[:, 0], k @ turn, self.waves[:, 3] + k @ shift])
        slope = self.plane[1:]
        return Relief(waves, np.append(self.plane[0] + slope @ shift, slope @ turn))


FLAT = Relief()


def draw_relief(seed: int) -> Relief:
    """The relief of world `seed`: FLAT for some, hilly for few."""
    rng = np.random.default_rng([seed, 0x4E11])
    if rng.random() < FLAT_SHARE:
        return FLAT
    return relief_of(_deviation(rng), rng)


def relief_of(deviation_m: float, rng: np.random.Generator) -> Relief:
    """Waves in all directions; `deviation_m` as in DEVIATION_M, less where the ground would get too steep."""
    lengths = np.exp(rng.uniform(*np.log(LENGTHS_M), WAVES))
    heading, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
    k = 2 * np.pi / lengths
    shares = lengths**2 * rng.uniform(0.5, 1.0, WAVES)  # long waves carry the slope, short ones little but curvature
    scale = deviation_m / np.sqrt((_unit_variance(k) * shares**2).sum())
    steep = scale * np.sqrt(((shares * k) ** 2).sum() / 2)
    amplitude = shares * scale * min(1.0, STEEPEST / 2 / steep)
    return Relief(np.column_stack([amplitude, k * np.cos(heading), k * np.sin(heading), phase]))


def first_met(
    levels: NDArray[np.float64], inverse: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """W x C: inverse distance at which the rays of C columns first meet the ground; 0 where they do not.

    levels: D x C how high the ground appears at rising distances (a tangent, or minus a row of a picture); inverse: D
    of those distances; wanted: W x C the rays' own levels.
    """
    skyline = np.maximum.accumulate(levels, axis=0)
    low, high = skyline[0], skyline[-1]
    # One call for all columns: each is lifted above the one before.
    lift = np.arange(skyline.shape[1]) * (high.max() - low.min() + 1.0)
    within = np.clip(wanted, low, high) + lift
    met = np.interp(within.T.ravel(), (skyline + lift).T.ravel(), np.tile(inverse, len(lift)))
    return np.where(wanted > high, 0.0, np.where(wanted < low, inverse[0], met.reshape(wanted.shape[::-1]).T))


def _deviation(rng: np.random.Generator) -> float:
    """Log-uniform below and above the median, each with half of the worlds."""
    low, high = DEVIATION_M
    edges = np.log([low, MEDIAN_M, high])
    return float(np.exp(np.interp(rng.random(), [0.0, 0.5, 1.0], edges)))


def _unit_variance(k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of the height above the tangent plane at DRAWN_AT_M, in any direction, for waves of amplitude 1."""
    angle = np.linspace(0, np.pi / 2, 16)
    t = k[:, None] * DRAWN_AT_M * np.cos(angle)
    return ((np.cos(t) - 1) ** 2 + (np.sin(t) - t) ** 2).mean(axis=1) / 2
