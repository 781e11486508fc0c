# SPDX-License-Identifier: Apache-2.0
"""JPEGs decoded and brought to the network's size on a GPU: bytes go up, a picture of the network's size comes back.

The decoder is TorchCodec's (nvJPEG, a whole list at once; `pip install 'mapkd[gpu]'`). It decodes every pixel, so what
comes out is what the CPU makes of whole pictures, within 1 of 255: the same areas are averaged with the same weights.
Not measured; tested on CPU tensors. Pictures are fitted here, one by one; N pictures cost one wait for the device.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.config import ModelConfig
from mapkd_core.data.image_codec import MAX_PIXELS, Buffer, compressed_size, parse_format
from mapkd_core.data.prepare import scaled_rows
from mapkd_core.data.reduced import Fitted

log = logging.getLogger(__name__)
Decode: TypeAlias = Callable[[Sequence[bytes]], Sequence[Tensor]]  # JPEGs -> 3 H W uint8 RGB each, on the device


class OnDevice:
    """Decodes and fits on `device`; a `Reduction` for those that know no better, which reduces nothing."""

    def __init__(self, config: ModelConfig, device: str, decode: Decode) -> None:
        self.config, self.device, self._decode = config, device, decode

    def __call__(self, width: int, height: int) -> int:
        return 1

    def pictures(self, jpegs: Sequence[Buffer], format: str = "jpeg") -> list[Fitted]:
        """One for each JPEG, decoded together. Raises ValueError for damaged, cut or oversized data."""
        sizes = [compressed_size(data) for data in jpegs]
        if too_large := [size for size in sizes if size[0] * size[1] > MAX_PIXELS]:
            raise ValueError(f"compressed image of {too_large[0]} pixels is larger than the bound of {MAX_PIXELS}")
        try:
            decoded = self._decode([bytes(np.frombuffer(data, np.uint8)) for data in jpegs])
        except RuntimeError as error:
            raise ValueError(f"a jpeg of {[len(d) for d in jpegs]} bytes is damaged: {error}") from error
        found = [tuple(picture.shape) for picture in decoded]
        if found != [(3, height, width) for width, height in sizes]:
            raise ValueError(f"jpegs of {sizes} pixels became pictures of {found}")
        fitted = torch.stack([fit(picture, self.config) for picture in decoded]).permute(0, 2, 3, 1).cpu().numpy()
        if parse_format(format).is_swapped:
            fitted = fitted[..., ::-1]
        return [Fitted(pixels, size, self.config) for pixels, size in zip(fitted, sizes, strict=True)]


@lru_cache(maxsize=4)
def on_device(config: ModelConfig, device: str) -> OnDevice | None:
    """None, and why in the log, where JPEGs cannot be decoded on `device`: then the CPU does it."""
    try:
        from torchcodec.decoders import decode_jpeg

        decode_jpeg([_probe()], device=device)
    except (ImportError, OSError, RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.warning("JPEGs are decoded on the CPU and not on %s: %s; see pip install 'mapkd[gpu]'", device, reason)
        return None
    return OnDevice(config, device, lambda jpegs: decode_jpeg(list(jpegs), device=device))


def _probe() -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1])


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
