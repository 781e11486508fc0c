# SPDX-License-Identifier: Apache-2.0
"""`prepare.fit_pixels` on tensors: a picture brought to the network's size on the device that it lies on.

The same areas are averaged with the same weights as OpenCV takes, so both differ by 1 of 255 at most. Nothing waits for
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
from mapkd_core.data.prepare import scaled_rows


def fit(picture: Tensor, config: ModelConfig) -> Tensor:
    """3 H W uint8, on any device -> 3 h w uint8 of the network's size: what `prepare.fit_image` does."""
    height, width = picture.shape[1:]
    rows, columns, kept = scaled_rows(width, height, config), config.image_width, config.image_height
    if (width, height) != (columns, rows):
        across = _taps(width, columns, picture.device)
        down = tuple(part[-kept:] for part in _taps(height, rows, picture.device))
        sky = int(_first(height, rows, kept))
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


def _first(size: int, scaled: int, kept: int) -> int:
    """The first of `size` rows that any of the lowest `kept` scaled ones looks at."""
    return int(_places(size, scaled)[0][-kept:].min())


@lru_cache(maxsize=64)
def _taps(size: int, scaled: int, device: torch.device) -> tuple[Tensor, Tensor]:
    at, weights = _places(size, scaled)
    return torch.from_numpy(at).to(device), torch.from_numpy(weights).to(device)


@lru_cache(maxsize=64)
def _places(size: int, scaled: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """scaled T: of `size` pixels those that one of `scaled` is made of, and their weights.

    Smaller: the area that it covers, OpenCV's INTER_AREA. Larger: between the two nearest centres, INTER_LINEAR.
    """
    scale = size / scaled
    if scale > 1:
        begin = np.arange(scaled)[:, None] * scale
        at = np.floor(begin).astype(np.int64) + np.arange(math.ceil(scale) + 1)
        weights = np.clip(np.minimum(at + 1, begin + scale) - np.maximum(at, begin), 0, None) / scale
    else:
        centre = np.clip((np.arange(scaled)[:, None] + 0.5) * scale - 0.5, 0, size - 1)
        at = np.floor(centre).astype(np.int64) + np.arange(2)
        weights = np.abs(1 - np.abs(at - centre))
    return np.minimum(at, size - 1), weights.astype(np.float32)
