# SPDX-License-Identifier: Apache-2.0
"""Weather in the picture: the wet road that mirrors what stands on it, and the spray behind vehicles."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.ground_view import inverse_depth
from mapkd_core.worlds.moment import Moment

_SPRAY_FROM_MS = 4.0


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


def spray(
    image: NDArray[np.float32],
    K: NDArray[np.float64],
    map_T_camera: NDArray[np.float64],
    moment: Moment,
    wet: float,
    grey: float,
) -> None:
    """Lay the water that wheels throw up behind fast vehicles over `image` (H W 3, changed in place).

    grey: brightness of lit spray. It grows with speed from 4 m/s on and is as wide as the vehicle, twice as long.
    """
    vehicles = moment.vehicles
    for x, y, yaw, length, width, _, speed in vehicles[vehicles[:, 6] > _SPRAY_FROM_MS].tolist():
        behind = length / 2 + 1.2
        place = np.array([x - behind * np.cos(yaw), y - behind * np.sin(yaw), 0.45])
        point = (place - map_T_camera[:3, 3]) @ map_T_camera[:3, :3]
        if not 3.0 < point[2] < 50.0:
            continue
        u, v = (K[0, 0] * point[0] / point[2] + K[0, 2], K[1, 1] * point[1] / point[2] + K[1, 2])
        half = K[0, 0] * 0.65 * width / point[2]
        share = min(0.75, wet * (speed - _SPRAY_FROM_MS) / 12.0)
        _lay_cloud(image, u, v - 0.3 * half, half, share, grey)


def _lay_cloud(image: NDArray[np.float32], x: float, y: float, half: float, share: float, grey: float) -> None:
    """A soft veil of `share` at its middle (pixels), `half` wide."""
    height, width = image.shape[:2]
    x0, x1 = max(int(x - 2 * half), 0), min(int(x + 2 * half) + 1, width)
    y0, y1 = max(int(y - 1.6 * half), 0), min(int(y + 1.2 * half) + 1, height)
    if x0 >= x1 or y0 >= y1:
        return
    u, v = (np.arange(x0, x1) - x) / half, (np.arange(y0, y1)[:, None] - y) / (0.7 * half)
    veil = (share * np.exp(-u * u - v * v)).astype(np.float32)[..., None]
    part = image[y0:y1, x0:x1]
    part += (grey - part) * veil
