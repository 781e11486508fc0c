# SPDX-License-Identifier: Apache-2.0
"""A picture that the network has seen before its frame is complete (`performance.by_picture`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import Camera


@dataclass(frozen=True)
class EncodedImage:
    """A `types.HeldImage`.

    pixels: H W 3 uint8 RGB of the network's size. features: what the network made of them. by: whose network it was.
    since_s: time.monotonic() when it began to look.
    """

    pixels: NDArray[np.uint8]
    features: Any
    by: object
    since_s: float

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return self.pixels.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def numpy(self) -> NDArray[np.uint8]:
        return self.pixels


def encoding_s(camera: Camera, from_s: float) -> float:
    """For how long since `from_s`, a time.monotonic(), the network looked at the camera's picture, now here."""
    image = camera.image
    return max(0.0, time.monotonic() - max(from_s, image.since_s)) if isinstance(image, EncodedImage) else 0.0


def features_of(camera: Camera, by: object) -> Any | None:
    """None where the camera's picture was not seen ahead, or by another network."""
    image = camera.image
    return image.features if isinstance(image, EncodedImage) and image.by is by else None
