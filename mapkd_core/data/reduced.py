# SPDX-License-Identifier: Apache-2.0
"""JPEGs decoded no larger than the network needs, by the node, bags and evaluation alike.

The JPEG decoder then leaves out the high frequencies that scaling would throw away. Raw images and PNGs stay whole: for
them it would be a second scaling and save nothing. Who has time before the frame is complete, as a node has while it
waits for the other cameras, brings each picture to the network's size at once (`fitted`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np

from mapkd_core.config import ModelConfig
from mapkd_core.data import prepare
from mapkd_core.data.image_codec import Buffer, Pixels, compressed_size, decode_compressed
from mapkd_core.types import Camera, HeldImage

Reduction: TypeAlias = Callable[[int, int], int]  # width and height of a JPEG -> 1, 2, 4 or 8
_JPEG = b"\xff\xd8\xff"


class Picture(NamedTuple):
    """pixels: H W 3 RGB. factor: so many times as wide and as high was the picture that the camera took."""

    pixels: Pixels
    factor: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as the camera took it, which is what calibration speaks about."""
        return self.pixels.shape[1] * self.factor, self.pixels.shape[0] * self.factor

    def of(self, camera: Camera) -> Camera:
        """The camera, which is calibrated for `size`, with this picture and K to fit."""
        if self.factor == 1:
            return replace(camera, image=self.pixels)
        return prepare.reduced(camera, self.pixels, self.factor)


class Fitted(NamedTuple):
    """pixels: h w 3 RGB of the network's size, where it was decoded, or as the network has seen it ahead.

    size: width and height as the camera took it.
    """

    pixels: Pixels | HeldImage
    size: tuple[int, int]
    config: ModelConfig

    def of(self, camera: Camera) -> Camera:
        """The camera, which is calibrated for `size`, as one that takes this picture."""
        return replace(prepare.model_camera(camera, self.config), image=self.pixels)


class Reducing:
    """The `Reduction` of one network. is_reduced: false decodes every pixel."""

    def __init__(self, config: ModelConfig, is_reduced: bool = True) -> None:
        self.config, self._is_reduced = config, is_reduced

    def __call__(self, width: int, height: int) -> int:
        return prepare.reduction(width, height, self.config) if self._is_reduced else 1


def whole(width: int, height: int) -> int:
    """The `Reduction` that reduces nothing."""
    return 1


def reduction_for(config: ModelConfig | None, is_reduced: bool = True, device: str = "cpu") -> Reduction:
    """What this network allows; `whole` where it is unknown.

    device: of the network. Where it is a GPU that decodes JPEGs, it does so, of every pixel (`device_pictures`).
    """
    if config is not None and device != "cpu":
        from mapkd_core.data.device_pictures import on_device  # which needs PyTorch

        if (found := on_device(config, device)) is not None:
            return found
    return whole if config is None else Reducing(config, is_reduced)


def decode(format: str, data: Buffer, reduction: Reduction = whole) -> Picture | Fitted:
    """A sensor_msgs/CompressedImage; errors as of `decode_compressed`."""
    is_jpeg = bytes(np.frombuffer(data, np.uint8)[:3]) == _JPEG
    if is_jpeg and (pictures := getattr(reduction, "pictures", None)):
        fitted: Fitted = pictures([data], format)[0]
        return fitted
    factor = reduction(*compressed_size(data)) if is_jpeg else 1
    return Picture(decode_compressed(format, data, reduce=factor), factor)


def fitted(picture: Picture | Fitted, reduction: Reduction) -> Picture | Fitted:
    """At the size of the network that `reduction` is for, which then finds it ready; as it is where none is known."""
    config = getattr(reduction, "config", None)
    if config is None or isinstance(picture, Fitted):
        return picture
    return Fitted(prepare.fit_pixels(picture.pixels, config), picture.size, config)
