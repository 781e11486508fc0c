# SPDX-License-Identifier: Apache-2.0
"""Seeded random fields: the raw matter of every procedural texture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def smooth(
    rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float, octaves: int = 3, decay: float = 0.5
) -> NDArray[np.float32]:
    """Field of `shape` with mean about 0 and standard deviation 1, coarsest feature `wavelength_px` pixels."""
    total = np.zeros(shape, np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        coarse = (max(2, round(shape[0] / wavelength_px) + 2), max(2, round(shape[1] / wavelength_px) + 2))
        field = rng.standard_normal(coarse, np.float32)
        total += amplitude * cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)
        amplitude *= decay
        wavelength_px = max(wavelength_px / 2, 1.0)
    return total / max(float(total.std()), 1e-6)


def as_gain(field: NDArray[np.floating], strength: float, mean: float = 1.0) -> NDArray[np.uint8]:
    """Gain factors mean + strength * field as uint8, where 128 stands for 1."""
    return np.clip((mean + strength * field) * 128.0, 0, 255).astype(np.uint8)


def tiled(tile: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """`tile` repeated (mirrored at its edges, so without seams) to `shape`."""
    mirror = np.concatenate([tile, tile[::-1]])
    mirror = np.concatenate([mirror, mirror[:, ::-1]], axis=1)
    repeats = (-(-shape[0] // mirror.shape[0]), -(-shape[1] // mirror.shape[1]))
    return np.tile(mirror, repeats)[: shape[0], : shape[1]]
