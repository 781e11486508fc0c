# SPDX-License-Identifier: Apache-2.0
"""Weather in the picture: the wet road that mirrors what stands on it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.ground_view import inverse_depth


def mirror(
    image: NDArray[np.uint8],
    bare: NDArray[np.uint8],
    K: NDArray[np.float64],
    map_T_camera: NDArray[np.float64],
    wet: float,
) -> None:
    """Lay the mirrored upper picture over the ground of `image` (H W 3, changed in place).

    bare: the same picture before solids were drawn; where the two agree below the horizon, the ground is seen.
    Mirroring about the middle of the horizon is exact for a level camera.
    """
    height, width = image.shape[:2]
    a, b, c = inverse_depth(K, map_T_camera)
    horizon = round(-(a * (width - 1) / 2 + c) / b)
    count = min(height - horizon - 1, horizon)
    if count < 4:
        return
    upper = image[horizon - count : horizon][::-1]
    blurred = cv2.blur(upper, (3, max(3, count // 6) | 1))
    part, before = image[horizon + 1 : horizon + 1 + count], bare[horizon + 1 : horizon + 1 + count]
    is_ground = (part == before).all(axis=2, keepdims=True)
    down = np.arange(count)[:, None, None]
    # Fresnel: strong at grazing angles; it fades out where the picture has nothing more to mirror.
    grazing = np.exp(-down / (0.35 * K[1, 1])) * (1 - down / count)
    share = np.where(is_ground, 0.55 * wet * grazing, 0.0).astype(np.float32)
    part[:] = (part * (1 - share) + blurred * share).astype(np.uint8)
