# SPDX-License-Identifier: Apache-2.0
"""What the sensor makes of a hit: whether it answers, how far it thinks it is, how bright it calls it.

The power that comes back falls with the square of the distance and with the cosine of incidence (the LiDAR equation
for surfaces larger than the beam). The chance of a return is 1 - exp(-power): near ground always answers, ground at
a grazing angle gets lost. The constants were set beside one real sweep (docs/worlds.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.lidar.surfaces import Kind

Array = NDArray[np.float64]

# Per Kind: reflectivity as the chance of a return sees it, median and log-spread of the intensity, chance to answer.
_REFLECTIVITY = np.array([0.12, 0.12, 0.1, 0.05, 0.04, 0.05, 0.06, 0.05, 0.06, 0.3])
_INTENSITY = np.array([10.5, 22.0, 24.0, 18.0, 12.0, 22.0, 16.0, 9.0, 14.0, 28.0])
_SPREAD = np.array([0.35, 0.6, 0.5, 1.0, 0.8, 0.9, 0.9, 0.8, 0.7, 0.6])
_ANSWERS = np.array([0.985, 0.985, 0.98, 0.97, 0.95, 0.95, 0.96, 0.6, 0.95, 0.55])
_PAINT_INTENSITY, _PAINT_SPREAD, _PAINT_REFLECTIVITY = 36.0, 0.35, 0.35
_POWER = 2.3 / (0.12 * np.sin(np.radians(4.0))) * 26.0**2  # road 26 m away under 4 degrees answers 9 times out of 10
NOISE_M, RING_BIAS_M = 0.0045, 0.008  # standard deviations: from shot to shot, and fixed for each laser
WET_LOSS = 0.75  # of the ground's reflectivity on a mirror-wet road: the light goes on forwards


def answers(kind: NDArray[np.integer], slant: Array, cosine: Array, paint: Array, wet: float) -> Array:
    """Chance of a return, for hits of a kind at `slant` metres and a cosine of incidence; paint 0..1 covers ground."""
    reflectivity = _REFLECTIVITY[kind]
    on_ground = (kind == Kind.ROAD) | (kind == Kind.PAVEMENT)
    ground = (reflectivity + (_PAINT_REFLECTIVITY - reflectivity) * paint) * (1 - WET_LOSS * wet)
    power = _POWER * np.where(on_ground, ground, reflectivity) * cosine / np.maximum(slant, 1.0) ** 2
    return _ANSWERS[kind] * (1 - np.exp(-power))


def intensities(kind: NDArray[np.integer], paint: Array, wet: float, rng: np.random.Generator) -> Array:
    """0..255 in whole numbers, log-normal around the median of the kind; brighter where paint covers the road."""
    on_ground = (kind == Kind.ROAD) | (kind == Kind.PAVEMENT)
    normal = rng.standard_normal(len(kind))
    value = _INTENSITY[kind] * np.exp(_SPREAD[kind] * normal)
    some = np.flatnonzero(on_ground & (paint > 0))
    painted = _PAINT_INTENSITY * np.exp(_PAINT_SPREAD * normal[some])
    value[some] += (painted - value[some]) * paint[some]
    value[on_ground] *= 1 - WET_LOSS * wet / 2
    return np.round(np.clip(value, 0, 255))
