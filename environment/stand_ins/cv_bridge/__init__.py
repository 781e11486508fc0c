# SPDX-License-Identifier: Apache-2.0
"""Stand-in of ROS 2's cv_bridge for machines without a distribution: CvBridge.imgmsg_to_cv2, no more.

Written from the public API documentation. environment/setup.sh puts it into the overlay only where the real package is
absent. Anything else of cv_bridge answers with an AttributeError that says so.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image

__all__ = ["CvBridge", "CvBridgeError"]

# encoding -> (numpy type, channels of the data)
_LAYOUTS = {
    **dict.fromkeys(("rgb8", "bgr8", "8UC3"), (np.uint8, 3)),
    **dict.fromkeys(("rgba8", "bgra8", "8UC4"), (np.uint8, 4)),
    **dict.fromkeys(("mono8", "8UC1"), (np.uint8, 1)),
    **dict.fromkeys(("rgb16", "bgr16", "16UC3"), (np.uint16, 3)),
    **dict.fromkeys(("rgba16", "bgra16", "16UC4"), (np.uint16, 4)),
    **dict.fromkeys(("mono16", "16UC1"), (np.uint16, 1)),
    **{f"bayer_{pattern}8": (np.uint8, 1) for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{pattern}16": (np.uint16, 1) for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("yuv422", "yuv422_yuy2", "uyvy", "yuyv"), (np.uint8, 2)),
    "32FC1": (np.float32, 1),
}
# 8-bit source encoding -> OpenCV's conversion to bgr8. OpenCV names a Bayer pattern by its second row and column.
_TO_BGR = {
    "bgr8": None,
    "rgb8": cv2.COLOR_RGB2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "mono8": cv2.COLOR_GRAY2BGR,
    "bayer_rggb8": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr8": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg8": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg8": cv2.COLOR_BayerGB2BGR,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
}
_FROM_BGR = {
    "bgr8": None,
    "rgb8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_BGR2RGBA,
    "bgra8": cv2.COLOR_BGR2BGRA,
    "mono8": cv2.COLOR_BGR2GRAY,
}


class CvBridgeError(TypeError):
    """The image cannot be converted as asked."""


class CvBridge:
    """Converts image messages to OpenCV arrays."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """H W [C] array of the image; `desired_encoding` is passthrough, bgr8, rgb8, bgra8, rgba8 or mono8.

        16-bit colours and bayer_*16 are scaled to 8 bits when converted. 16UC1, 32FC1 and the other plain OpenCV types
        carry no colour: they pass through only. Raises CvBridgeError for anything else.
        """
        image, encoding = _pixels(img_msg), img_msg.encoding
        if desired_encoding in ("passthrough", encoding):
            return image
        if encoding not in _TO_BGR and encoding.endswith("16"):
            image, encoding = cv2.convertScaleAbs(image, alpha=255 / 65535), encoding.removesuffix("16") + "8"
        if encoding not in _TO_BGR or desired_encoding not in _FROM_BGR:
            raise CvBridgeError(
                f"no conversion from {img_msg.encoding!r} to {desired_encoding!r} in mapkd's stand-in of cv_bridge; "
                f"it converts {', '.join(_TO_BGR)} and their 16-bit forms to {', '.join(_FROM_BGR)}"
            )
        for conversion in (_TO_BGR[encoding], _FROM_BGR[desired_encoding]):
            image = image if conversion is None else cv2.cvtColor(image, conversion)
        return image

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"CvBridge.{name}: mapkd's stand-in has imgmsg_to_cv2 only; install ROS 2's cv_bridge for the rest"
        )


def _pixels(message: Image) -> np.ndarray:
    """H W [C] view of the message's bytes in native byte order, row padding left out."""
    if message.encoding not in _LAYOUTS:
        raise CvBridgeError(
            f"encoding {message.encoding!r} is unknown to mapkd's stand-in; known: {', '.join(_LAYOUTS)}"
        )
    kind, channels = _LAYOUTS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row = message.width * channels * dtype.itemsize
    if message.step < row or len(message.data) < message.step * message.height:
        raise CvBridgeError(
            f"{len(message.data)} bytes with step {message.step} hold no {message.width} x {message.height} "
            f"image of encoding {message.encoding!r}: need {row} bytes a row"
        )
    strides = (message.step, channels * dtype.itemsize, dtype.itemsize)
    image = np.ndarray((message.height, message.width, channels), dtype, buffer=message.data, strides=strides)
    return np.ascontiguousarray(image[..., 0] if channels == 1 else image, dtype.newbyteorder("="))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"cv_bridge.{name}: this is mapkd's stand-in, which has {', '.join(__all__)} only; "
        "install ROS 2's cv_bridge for the rest"
    )
