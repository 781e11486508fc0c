# SPDX-License-Identifier: Apache-2.0
"""Frame to network input: the one preprocessing of training, evaluation, bags and the live node.

A picture is scaled to the network's width; of what is then too high the top is cut off (sky), of what is too low the
bottom is filled with black. Intrinsics follow. Pixel (0, 0) is the centre of the first pixel. N cameras, H W of the
network's pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.config import ModelConfig
from mapkd_core.data.encoded_image import features_of
from mapkd_core.data.image_codec import REDUCTIONS
from mapkd_core.types import Camera, Frame

if TYPE_CHECKING:
    from mapkd_core.data.tensor_images import TensorImages

MOST_CAMERAS = 8
_A_LITTLE = 1.5  # times as large as the network's
_KERNEL = 2  # rows that a cubic reads beyond a centre
Scaling: TypeAlias = Literal["linear", "cubic", "area"]
_OPENCV: dict[Scaling, int] = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class Prepared:
    """images: N 3 H W uint8 RGB; K: N 3 3 for these pictures; ego_T_camera: N 4 4; valid: N bool (False: black).

    features: of each picture that its network has seen ahead, which is black in `images`; None of the others.
    """

    images: NDArray[np.uint8] | TensorImages
    K: NDArray[np.float64]
    ego_T_camera: NDArray[np.float64]
    valid: NDArray[np.bool_]
    features: tuple[Any | None, ...] = ()


def prepare(frame: Frame, config: ModelConfig, is_on_device: bool = False, network: object = None) -> Prepared:
    """All cameras of a frame.

    is_on_device: pictures on the network's device stay there, as TensorImages; otherwise they come to the host.
    network: whose `features` are taken.
    Raises ValueError for a frame without cameras or with more than MOST_CAMERAS, a picture of another size than its
    calibration says, and a bad K.
    """
    if not frame.cameras:
        raise ValueError("the frame has no camera; give it at least one")
    if len(frame.cameras) > MOST_CAMERAS:
        raise ValueError(f"the frame has {len(frame.cameras)} cameras; give it 1 to {MOST_CAMERAS}")
    features = tuple(None if network is None else features_of(camera, network) for camera in frame.cameras)
    return Prepared(
        _images(frame.cameras, features, config, is_on_device),
        np.stack([fit_intrinsics(camera, config) for camera in frame.cameras]),
        np.stack([np.asarray(camera.ego_T_camera, np.float64) for camera in frame.cameras]),
        np.array([camera.image is not None for camera in frame.cameras]),
        features,
    )


def _images(
    cameras: Sequence[Camera], features: Sequence[Any | None], config: ModelConfig, is_on_device: bool
) -> NDArray[np.uint8] | TensorImages:
    if is_on_device and any(camera.is_held for camera in cameras):
        from mapkd_core.data.tensor_images import gathered  # which needs PyTorch

        return gathered(cameras, config)
    images = np.zeros((len(cameras), 3, config.image_height, config.image_width), np.uint8)
    for image, camera, seen in zip(images, cameras, features, strict=True):
        if camera.image is not None and seen is None:
            image[:] = fit_image(camera, config).transpose(2, 0, 1)
    return images


def fit_image(camera: Camera, config: ModelConfig) -> NDArray[np.uint8]:
    """H W 3: the camera's picture at the network's size."""
    image = camera.pixels
    if image is None or image.shape != (camera.height, camera.width, 3) or image.dtype != np.uint8:
        found = None if image is None else (image.shape, str(image.dtype))
        told = (camera.height, camera.width, 3)
        raise ValueError(f"{camera.name}: picture is {found}, expected {told} uint8 RGB as its calibration says")
    return fit_pixels(image, config)


def fit_pixels(image: NDArray[np.uint8], config: ModelConfig) -> NDArray[np.uint8]:
    """H W 3 of any size -> H W 3 of the network's; what has it already is handed back."""
    rows, columns = image.shape[:2]
    width, height = config.image_width, scaled_rows(columns, rows, config)
    if (columns, rows) != (width, height):
        if image.strides[-1] < 0:  # a view of BGR, of which OpenCV would make a copy at its full size
            return fit_pixels(image[..., ::-1], config)[..., ::-1]
        image, height = _without_sky(image, height, config.image_height) if width < columns else (image, height)
        image = cv2.resize(image, (width, height), interpolation=_OPENCV[scaling(columns, width)])
    missing = config.image_height - height
    if missing > 0:
        return np.pad(image, ((0, missing), (0, 0), (0, 0)))
    return image[-missing:] if missing else image


def scaling(size: int, scaled: int) -> Scaling:
    """How `size` pixels become `scaled`.

    Much smaller: the mean of the area that each covers. A little smaller: a cubic, for the pixels are means of areas
    nearly as large already, and to take means of them again would blur.
    """
    if size <= scaled:
        return "linear"
    return "cubic" if size < _A_LITTLE * scaled else "area"


def _without_sky(image: NDArray[np.uint8], height: int, kept: int) -> tuple[NDArray[np.uint8], int]:
    """What of a picture decides the lowest `kept` of its `height` scaled rows, and how many scaled rows that is.

    Cut where a row of the picture and one of the scaled picture begin together, and beyond what a cubic reads, so that
    no pixel changes.
    """
    parts = math.gcd(len(image), height)
    cut = max(0, height - kept - _KERNEL) // (height // parts)
    return image[cut * (len(image) // parts) :], height - cut * (height // parts)


def reduction(width: int, height: int, config: ModelConfig) -> int:
    """How much smaller `decode_compressed` may hand over a JPEG: the largest of 1, 2, 4 and 8 that divides its size and
    leaves the network's width. What that costs is in docs/results/reduced.json.
    """
    fits = [r for r in REDUCTIONS if width % r == 0 == height % r and width // r >= config.image_width]
    return max(fits, default=1)


def reduced(camera: Camera, image: NDArray[np.uint8] | None, factor: int) -> Camera:
    """The camera of a picture that was decoded at 1/factor of its size; `image` is that picture."""
    K = np.array(camera.K, np.float64)
    K[:2, 2] = (K[:2, 2] + 0.5) / factor - 0.5
    K[0, :2] /= factor
    K[1, 1] /= factor
    return replace(camera, image=image, K=K, width=camera.width // factor, height=camera.height // factor)


def fit_intrinsics(camera: Camera, config: ModelConfig) -> NDArray[np.float64]:
    """3 3: K after `fit_image`."""
    height = scaled_height(camera, config)
    scale = np.array([config.image_width / camera.width, height / camera.height])
    K = np.array(camera.K, np.float64)
    if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise ValueError(f"{camera.name}: K = {K.tolist()}; expected a 3x3 pinhole matrix with positive focal lengths")
    K[0] *= scale[0]
    K[1] *= scale[1]
    K[:2, 2] += 0.5 * scale - 0.5  # pixel centres, not corners, carry the integers
    K[1, 2] -= max(0, height - config.image_height)
    return K


def scaled_height(camera: Camera, config: ModelConfig) -> int:
    """Rows of the camera's picture after scaling to the network's width, before cutting."""
    return scaled_rows(camera.width, camera.height, config)


def scaled_rows(width: int, height: int, config: ModelConfig) -> int:
    """The same for a picture of this size."""
    return round(height * config.image_width / width)


def model_camera(camera: Camera, config: ModelConfig) -> Camera:
    """The camera that would take the prepared picture directly; what training renders with."""
    width, height = config.image_width, config.image_height
    return Camera(
        camera.name, None, fit_intrinsics(camera, config), camera.ego_T_camera, width, height, camera.stamp_ns
    )
