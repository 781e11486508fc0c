# SPDX-License-Identifier: Apache-2.0
"""Camera rigs to render with: a nominal six-camera rig like that of nuScenes, and changes of it.

Pixel convention: integer pixel coordinates are pixel centres, so a picture of `width` columns spans
[-0.5, width - 0.5]. Resizing by s therefore moves the principal point to (c + 0.5) s - 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mapkd_core.geometry import from_euler, transform
from mapkd_core.types import Camera

# name, yaw in degrees (left positive), position x y z in metres, focal length in pixels
_NOMINAL = (
    ("CAM_FRONT", 0.0, (1.70, 0.0, 1.50), 1260.0),
    ("CAM_FRONT_RIGHT", -55.0, (1.55, -0.50, 1.50), 1260.0),
    ("CAM_BACK_RIGHT", -110.0, (1.00, -0.50, 1.55), 1260.0),
    ("CAM_BACK", 180.0, (0.0, 0.0, 1.60), 810.0),
    ("CAM_BACK_LEFT", 110.0, (1.00, 0.50, 1.55), 1260.0),
    ("CAM_FRONT_LEFT", 55.0, (1.55, 0.50, 1.50), 1260.0),
)
_WIDTH, _HEIGHT, _CENTRE = 1600, 900, (810.0, 490.0)
_FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # ego_R_camera of a camera that looks ahead


def nuscenes_rig() -> tuple[Camera, ...]:
    """Six cameras of 1600 x 900 in nuScenes' places, rounded: no vehicle's own calibration. `image` is None."""
    cameras = []
    for name, yaw, position, focal in _NOMINAL:
        K = np.array([[focal, 0.0, _CENTRE[0]], [0.0, focal, _CENTRE[1]], [0.0, 0.0, 1.0]])
        pose = transform(from_euler(0.0, 0.0, np.radians(yaw)) @ _FORWARD, position)
        cameras.append(Camera(name, None, K, pose, _WIDTH, _HEIGHT))
    return tuple(cameras)


def perturbed(
    rig: Sequence[Camera],
    rng: np.random.Generator,
    position_m: float = 0.08,
    angle_rad: float = 0.02,
    focal_share: float = 0.01,
    centre_px: float = 12.0,
) -> tuple[Camera, ...]:
    """The rig as another vehicle would carry it: each camera moved, turned and refocused by normal deviations.

    The four figures are standard deviations; `centre_px` is for a picture 1600 pixels wide and scales with it.
    """
    out = []
    for camera in rig:
        pose = camera.ego_T_camera.copy()
        pose[:3, :3] = from_euler(*rng.normal(0.0, angle_rad, 3)) @ pose[:3, :3]
        pose[:3, 3] += rng.normal(0.0, position_m, 3) * (1.0, 1.0, 0.7)
        K = camera.K.copy()
        K[0, 0] *= (factor := 1.0 + rng.normal(0.0, focal_share))
        K[1, 1] *= factor
        K[:2, 2] += rng.normal(0.0, centre_px * camera.width / _WIDTH, 2)
        out.append(replace(camera, image=None, K=K, ego_T_camera=pose))
    return tuple(out)


def scaled(rig: Sequence[Camera], width: int, height: int) -> tuple[Camera, ...]:
    """The rig whose pictures were resized to `width` x `height`; images are dropped."""
    if width < 1 or height < 1:
        raise ValueError(f"picture of {width} x {height} pixels; need at least 1 x 1")
    out = []
    for camera in rig:
        sx, sy = width / camera.width, height / camera.height
        K = camera.K.copy()
        K[0] *= sx
        K[1] *= sy
        K[0, 2] += 0.5 * sx - 0.5
        K[1, 2] += 0.5 * sy - 0.5
        out.append(replace(camera, image=None, K=K, width=width, height=height))
    return tuple(out)


def cropped_top(rig: Sequence[Camera], rows: int) -> tuple[Camera, ...]:
    """The rig whose pictures lost their uppermost `rows` rows; images are dropped."""
    out = []
    for camera in rig:
        if not 0 <= rows < camera.height:
            raise ValueError(f"cannot cut {rows} rows off {camera.name} of height {camera.height}")
        K = camera.K.copy()
        K[1, 2] -= rows
        out.append(replace(camera, image=None, K=K, height=camera.height - rows))
    return tuple(out)
