# SPDX-License-Identifier: Apache-2.0
"""Motion blur: a picture smeared along the way the ground moves through it while the shutter is open.

A static point P = r / q in the camera frame (ray r = (x, y, 1), inverse depth q) moves by -(t + w x P), t and w being
the camera's velocity and turn; divided by depth that is -(t q + w x r), and its picture moves by f times the part of
that across the ray (Longuet-Higgins and Prazdny 1980, "The interpretation of a moving retinal image"). Above the
horizon things count as `_BACKGROUND_M` away. Who drives along with the vehicle is smeared like the road: a known error.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import Camera
from mapkd_core.worlds.ground_view import inverse_depth
from mapkd_core.worlds.moment import Moment

LEAST_PX = 0.7  # shorter smears are not drawn: nobody sees them, and they cost time
_BACKGROUND_M, _NEAREST_M = 35.0, 1.0
_COLUMNS = 12  # of the coarse grid that the flow is worked out on


def blur(
    image: NDArray[np.uint8], camera: Camera, map_T_camera: NDArray[np.float64], moment: Moment, exposure_s: float
) -> NDArray[np.uint8]:
    """H W 3 smeared over `exposure_s` about the moment; `image` itself where nothing moves by `LEAST_PX`."""
    flow = ground_flow(camera, map_T_camera, moment) * exposure_s
    length = np.hypot(flow[..., 0], flow[..., 1])
    longest = float(length.max())
    if longest < LEAST_PX:
        return image
    height, width = image.shape[:2]
    moving = np.flatnonzero(length.max(axis=1) >= 0.5 * LEAST_PX)
    top = max(int((moving[0] - 1) / max(len(flow) - 1, 1) * (height - 1)), 0)
    fine = cv2.resize(flow.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)[top:]
    part, x_y = image[top:], _pixels(width, height)[: height - top]
    # Three samples a third of the smear apart, then three a ninth apart from those ...: 3, 9 or 27 even samples.
    for step in (3.0, 9.0, 27.0)[: 1 if longest < 3 else 2 if longest < 20 else 3]:
        ahead, behind = (
            cv2.remap(
                part,
                *cv2.convertMaps(x_y + sign / step * fine, None, cv2.CV_16SC2),
                interpolation=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for sign in (1, -1)
        )
        part = cv2.addWeighted(cv2.addWeighted(ahead, 0.5, behind, 0.5, 0), 2 / 3, part, 1 / 3, 0)
    return np.concatenate([image[:top], part]) if top else part


def ground_flow(camera: Camera, map_T_camera: NDArray[np.float64], moment: Moment) -> NDArray[np.float64]:
    """Pixels per second (u, v) of what stands still, h x w x 2 from corner to corner of the picture."""
    rows = max(int(_COLUMNS * camera.height / camera.width), 5)
    u, v = np.meshgrid(np.linspace(0, camera.width - 1, _COLUMNS), np.linspace(0, camera.height - 1, rows))
    a, b, c = inverse_depth(camera.K, map_T_camera)
    q = np.clip(a * u + b * v + c, 1 / _BACKGROUND_M, 1 / _NEAREST_M)[..., None]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.K).T
    turn = np.array([0.0, 0.0, moment.yaw_rate])
    # The camera sits beside the ego origin: it swings around it when the vehicle turns.
    arm = map_T_camera[:3, :3] @ camera.ego_T_camera[:3, :3].T @ camera.ego_T_camera[:3, 3]
    camera_R_map = map_T_camera[:3, :3].T
    velocity = camera_R_map @ (np.array(moment.velocity) + np.cross(turn, arm))
    x, y, z = camera_R_map @ turn
    moves = -velocity * q - rays @ np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])
    image_xy = moves[..., :2] - rays[..., :2] * moves[..., 2:]
    return image_xy * (camera.K[0, 0], camera.K[1, 1])


@lru_cache(maxsize=4)
def _pixels(width: int, height: int) -> NDArray[np.float32]:
    return np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
