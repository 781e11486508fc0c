# SPDX-License-Identifier: Apache-2.0
"""What lies on one camera's glass: dirt that veils, and in rain drops and streaks through which the scene is soft."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import noise
from mapkd_core.worlds.appearance import Look

_LAYER = (144, 256)  # rows and columns that dirt and water are drawn at
_DIRTY, _MUDDY, _WETTED = 0.25, 0.12, 0.85  # shares of cameras


class Glass:
    """One camera's glass in one world. It is the same all drive long; pictures of any size get the same spots."""

    def __init__(self, look: Look, rng: np.random.Generator) -> None:
        self._dirt = _dirt(rng)
        self._water = _water(rng) if look.light == "rain" and rng.random() < _WETTED else None
        self._sized: dict[tuple[int, int], tuple[NDArray[np.float32] | None, ...]] = {}

    def apply(self, image: NDArray[np.float32], grey: float) -> NDArray[np.float32]:
        """H W 3 seen through the glass; grey: brightness of lit dirt."""
        height, width = image.shape[:2]
        if (height, width) not in self._sized:
            self._sized[height, width] = tuple(
                None if m is None else cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
                for m in (self._dirt, self._water)
            )
        dirt, water = self._sized[height, width]
        if water is not None:
            image = image + (_soft(image) - image) * water
        if dirt is not None:
            image = image + (0.8 * grey - image) * dirt
        return image


def _soft(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scene as a drop shows it: blurred over a few hundredths of the width, and shifted."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(width // 16, 4), max(height // 16, 4)), interpolation=cv2.INTER_AREA)
    small = cv2.blur(small, (3, 3))
    return cv2.resize(np.roll(small, 1, axis=1), (width, height), interpolation=cv2.INTER_LINEAR)


def _dirt(rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Share of veil per pixel: a film in broad smears, and dried spots of mud."""
    layer = np.zeros(_LAYER, np.float32)
    if rng.random() < _DIRTY:
        layer += np.clip(0.15 * noise.smooth(rng, _LAYER, 90.0, 3), 0, 0.4)
        smear = cv2.blur(rng.standard_normal(_LAYER).astype(np.float32), (81, 3))  # as a cloth leaves them
        layer += np.clip(0.8 * smear, 0, 0.2)
    if rng.random() < _MUDDY:
        spots = np.zeros(_LAYER, np.float32)
        for _ in range(int(rng.integers(2, 25))):
            cv2.circle(spots, _place(rng), int(rng.uniform(1, 9)), float(rng.uniform(0.3, 0.9)), -1)
        layer = np.maximum(layer, cv2.GaussianBlur(spots, (0, 0), 1.6))
    return layer if layer.any() else None


def _water(rng: np.random.Generator) -> NDArray[np.float32]:
    """Share of softness per pixel: round drops, and streaks that ran down, since no wiper passes these cameras."""
    layer = np.zeros(_LAYER, np.float32)
    for _ in range(int(np.exp(rng.uniform(np.log(3), np.log(45))))):
        cv2.circle(layer, _place(rng), max(1, int(256 * rng.uniform(0.004, 0.035))), float(rng.uniform(0.4, 1.0)), -1)
    for _ in range(int(rng.integers(0, 10))):
        x, y = _place(rng)
        wide, strong = max(1, int(rng.uniform(1, 5))), float(rng.uniform(0.35, 0.9))
        for _ in range(int(rng.integers(3, 12))):
            end = (x + int(rng.integers(-2, 3)), y + int(rng.uniform(4, 14)))
            cv2.line(layer, (x, y), end, strong, wide)
            x, y = end
        cv2.circle(layer, (x, y), wide + 1, 1.0, -1)
    return cv2.GaussianBlur(layer, (0, 0), 1.0)


def _place(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.uniform(0, _LAYER[1])), int(rng.uniform(0, _LAYER[0]))
