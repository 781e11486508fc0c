# SPDX-License-Identifier: Apache-2.0
"""Exposure and white balance: what one camera's automatics make of the light, wandering over the drive."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.appearance import Look

_TIME_S = {  # how long the shutter is open, shortest and longest
    "sun": (0.0004, 0.0015),
    "low_sun": (0.001, 0.003),
    "overcast": (0.001, 0.003),
    "rain": (0.002, 0.006),
    "dusk": (0.006, 0.010),
    "night": (0.015, 0.025),
}
_TOE = 0.05
_HARD_LIGHT = ("sun", "low_sun")


class Exposure:
    """Automatics of one camera: they share their make with the rig's others, and err in their own way.

    time_s: shutter time. target: mean grey that is aimed at.
    """

    def __init__(self, look: Look, shared: np.random.Generator, rng: np.random.Generator) -> None:
        dark = {"night": 0.45, "dusk": 0.75}.get(look.light, 1.0)
        self.time_s = float(shared.uniform(*_TIME_S[look.light]))
        self.target = float(shared.uniform(78, 128) * rng.normal(1.0, 0.08) * dark)
        self._adapts = shared.uniform(0.4, 0.9)
        balance = np.array(look.ambient) * shared.normal(1.0, 0.025, 3) * rng.normal(1.0, 0.015, 3)
        vivid = shared.uniform(0.45, 1.0)
        # Some meter on the lower picture only: the road comes out right and the sky burns out.
        self._meter_from = 0.5 if shared.random() < 0.4 else 0.0
        self._gamma = shared.uniform(0.85, 1.2)
        self._contrast = shared.uniform(1.05, 1.65) if look.light in _HARD_LIGHT else shared.uniform(0.9, 1.35)
        # Contrast spreads the channels too: without this, hard light would come out in poster colours.
        self._colour = _saturation(vivid / max(self._contrast, 1.0)) * balance[:, None]
        self._drift = _Wander(rng, shared.uniform(0.02, 0.16))
        self._warmth = _Wander(rng, shared.uniform(0.0, 0.05))

    def colours(self, time_s: float) -> NDArray[np.float32]:
        """3 x 3 colour matrix at that time of the drive: the scene's tint, and the balance that wanders."""
        warm = self._warmth.at(time_s)
        return (self._colour * np.array([[1 + warm], [1.0], [1 - warm]])).astype(np.float32)

    def gain(self, image: NDArray[np.float32], time_s: float) -> float:
        """Factor that brings the metered part of `image` (H W 3, linear grey) towards the target."""
        metered = image[int(self._meter_from * len(image)) :: 4, ::4, 1]
        mean = max(float(cv2.mean(metered)[0]), 2.0)
        return (self.target / mean) ** self._adapts * float(np.exp(self._drift.at(time_s)))

    def curve(self) -> NDArray[np.uint8]:
        """256 stored values: gamma, then contrast about the target; what leaves 0..255 is burnt out or black."""
        y = (np.arange(256) / 255.0) ** self._gamma
        middle = self.target / 255
        y = (y - middle) * self._contrast + middle
        toe = _TOE * np.log1p(np.exp(y / _TOE))  # shadows run together, but no sensor cuts them off at one value
        return np.clip(255 * toe, 0, 255).astype(np.uint8)


class _Wander:
    """A value that drifts smoothly about 0 with a deviation of `size`: three waves of 3 to 40 seconds."""

    def __init__(self, rng: np.random.Generator, size: float) -> None:
        self._rate = 2 * np.pi / np.exp(rng.uniform(np.log(3), np.log(40), 3))
        self._phase = rng.uniform(0, 2 * np.pi, 3)
        self._size = float(size) * np.sqrt(2 / 3)

    def at(self, time_s: float) -> float:
        return float(self._size * np.sin(self._rate * time_s + self._phase).sum())


def _saturation(amount: float) -> NDArray[np.float64]:
    """3 x 3 colour matrix: 0 gives grey, 1 leaves colours alone."""
    grey = np.tile([0.30, 0.59, 0.11], (3, 1))
    return grey + amount * (np.eye(3) - grey)
