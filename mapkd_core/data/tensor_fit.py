# SPDX-License-Identifier: Apache-2.0
"""`prepare.fit_pixels` on tensors: a picture brought to the network's size on the device that it lies on.

The same pixels are added with the same weights as OpenCV takes, so both differ by 1 of 255 at most. Nothing waits for
the device but the first picture of a size, whose weights go up.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import Scaling, scaled_rows, scaling


def fit(picture: Tensor, config: ModelConfig) -> Tensor:
    """3 H W uint8, on any device -> 3 h w uint8 of the network's size: what `prepare.fit_image` does."""
    height, width = picture.shape[1:]
    rows, columns, kept = scaled_rows(width, height, config), config.image_width, config.image_height
    if (width, height) != (columns, rows):
        how = scaling(width, columns)
        across = _taps(width, columns, how, picture.device)
        down = tuple(part[-kept:] for part in _taps(height, rows, how, picture.device))
        sky = int(_places(height, rows, how)[0][-kept:].min())
        smaller = _weighted(picture[:, sky:].float(), 2, *across)
        scaled = _weighted(smaller, 1, down[0] - sky, down[1])
        picture = (scaled + 0.5).floor().clamp(0, 255).to(torch.uint8)  # halves go up, as OpenCV's do
    picture = picture[:, -kept:]
    return torch.nn.functional.pad(picture, (0, 0, 0, kept - picture.shape[1]))


def _weighted(x: Tensor, axis: int, at: Tensor, weights: Tensor) -> Tensor:
    """`axis` becomes as long as `at`: sums over its T places at[i], weighted."""
    taken = x.index_select(axis, at.flatten()).unflatten(axis, at.shape)
    shape = [*weights.shape, *[1] * (x.ndim - axis - 1)]
    return (taken * weights.view(shape)).sum(axis + 1)


@lru_cache(maxsize=64)
def _taps(size: int, scaled: int, how: Scaling, device: torch.device) -> tuple[Tensor, Tensor]:
    at, weights = _places(size, scaled, how)
    return torch.from_numpy(at).to(device), torch.from_numpy(weights).to(device)


@lru_cache(maxsize=64)
def _places(size: int, scaled: int, how: Scaling) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """scaled T: of `size` pixels those that one of `scaled` is made of, and their weights, as OpenCV's."""
    scale = size / scaled
    if how == "area":
        begin = np.arange(scaled)[:, None] * scale
        at = np.floor(begin).astype(np.int64) + np.arange(math.ceil(scale) + 1)
        weights = np.clip(np.minimum(at + 1, begin + scale) - np.maximum(at, begin), 0, None) / scale
    else:
        centre = (np.arange(scaled)[:, None] + 0.5) * scale - 0.5
        reach = 1 if how == "linear" else 2
        at = np.floor(centre).astype(np.int64) + np.arange(1 - reach, 1 + reach)
        away = np.abs(at - centre)
        weights = 1 - away if how == "linear" else _cubic(away)
    return np.clip(at, 0, size - 1), weights.astype(np.float32)


def _cubic(away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' convolution kernel at distances of 0 to 2 pixels, with the slope that OpenCV takes."""
    a = -0.75
    near = ((a + 2) * away - (a + 3)) * away**2 + 1
    far = ((away - 5) * away + 8) * a * away - 4 * a
    return np.where(away <= 1, near, far)
