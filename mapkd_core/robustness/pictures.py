# SPDX-License-Identifier: Apache-2.0
"""One picture spoiled: H W 3 uint8 RGB in, the same shape out. Three severities each, drawn from `rng` alone.

Lengths are shares of the picture's width, so that pictures of any size get the same. Where a table says ImageNet-C it
has severities 1, 3 and 5 of Hendrycks and Dietterich (arXiv 1903.12261), which RoboBEV and MapBench build on, too.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

BLUR_SIGMA = (1 / 224, 3 / 224, 6 / 224)  # of the width; ImageNet-C's gaussian_blur at its 224 pixels
DARK_STOPS = (2, 3, 4)  # exposure halved so often; the sensor's noise stays (EMVA 1288's model: shot and read noise)
OVEREXPOSED_STOPS = (1, 2, 3)  # exposure doubled so often, then clipped
JPEG_QUALITY = (25, 15, 7)  # ImageNet-C's jpeg_compression
DIRT_SHARE = (0.05, 0.15, 0.30)  # of the picture behind opaque spots; ours, after SoilingNet (arXiv 1905.01492)
RAIN_DROPS = (20, 60, 120)  # on the glass; ours: no published table counts drops on unwiped vehicle cameras
RAIN_VEIL = (0.05, 0.15, 0.30)  # share of grey that rain in the air adds
_FULL_WELL, _READ_NOISE = 6000.0, 8.0  # electrons, of a small automotive pixel: 6000 at white


def blur(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Out of focus: Gaussian."""
    return cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA[severity - 1] * image.shape[1])


def dark(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Too short an exposure, in electrons: fewer arrive, and they are counted with noise."""
    electrons = _linear(image) * (_FULL_WELL / 2 ** DARK_STOPS[severity - 1])
    noise = rng.standard_normal(image.shape, np.float32) * np.sqrt(electrons + _READ_NOISE**2)
    return _stored((electrons + noise) / _FULL_WELL)


def overexposed(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Too long an exposure: what was bright is white, and nothing brings it back."""
    return _stored(_linear(image) * 2 ** OVEREXPOSED_STOPS[severity - 1])


def jpeg(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Compressed too far."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY[severity - 1]]
    code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1]
    return cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def lens_dirt(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Spots of mud, opaque in the middle and soft at the rim, until they hide the share of the table."""
    height, width = image.shape[:2]
    opaque = np.zeros((height, width), np.float32)
    while (opaque > 0).mean() < DIRT_SHARE[severity - 1]:
        radius = max(1, round(width * rng.uniform(0.01, 0.06)))
        cv2.circle(opaque, _place(rng, width, height), radius, 1.0, -1)
    opaque = cv2.GaussianBlur(opaque, (0, 0), 0.006 * width)[..., None]
    colour = rng.uniform(0.8, 1.2) * np.array([75, 62, 48], np.float32)
    return _clipped(image + (colour - image) * opaque)


def rain(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """A grey veil, streaks in the air, and drops on the glass that show the scene upside down and out of focus."""
    height, width = image.shape[:2]
    veil = RAIN_VEIL[severity - 1]
    wet = image + (float(image.mean()) - image.astype(np.float32)) * veil
    streaks, drops = np.zeros((2, height, width), np.float32)
    for _ in range(4 * RAIN_DROPS[severity - 1]):
        x, y = _place(rng, width, height)
        length = width * rng.uniform(0.01, 0.04)
        cv2.line(streaks, (x, y), (x + round(0.15 * length), y + round(length)), 1.0, 1, cv2.LINE_AA)
    wet += streaks[..., None] * (60 * rng.uniform(0.5, 1.0))
    for _ in range(RAIN_DROPS[severity - 1]):
        radius = max(1, round(width * rng.uniform(0.005, 0.02)))
        cv2.circle(drops, _place(rng, width, height), radius, 1.0, -1, cv2.LINE_AA)
    seen_through = cv2.GaussianBlur(cv2.flip(image, 0), (0, 0), 0.02 * width).astype(np.float32)
    return _clipped(wet + (seen_through - wet) * drops[..., None])


def _linear(image: Image) -> NDArray[np.floating]:
    """Light, 0..1, of stored levels (gamma 2.2)."""
    return (image / np.float32(255)) ** np.float32(2.2)


def _stored(light: NDArray[np.floating]) -> Image:
    return _clipped(255 * np.clip(light, 0, 1) ** (1 / 2.2))


def _clipped(image: NDArray[np.floating]) -> Image:
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def _place(rng: np.random.Generator, width: int, height: int) -> tuple[int, int]:
    return int(rng.integers(width)), int(rng.integers(height))
