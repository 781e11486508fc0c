# SPDX-License-Identifier: Apache-2.0
"""Does the road move through a camera's pictures as its mount says it must?

The ground is a plane in the ego frame, so a mount and the vehicle's motion between two pictures tell where each pixel
of the road was before (the homography of a plane; Hartley and Zisserman, Multiple View Geometry, chapter 13). How well
the two pictures agree there says how well the mount fits. N points, H W picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import Matrix, apply, inverse
from mapkd_core.types import Camera, Frame

WIDTH = 352  # px that pictures are scaled to: more shows more grain, not more road
NEAREST_M, FARTHEST_M = 2.0, 15.0
LEAST_POINTS = 60
_STEP = 4  # px between points
_FINE_SIGMA, _COARSE_SIGMA = 1.0, 5.0  # px: structure between grain and shading


@dataclass(frozen=True)
class View:
    """One camera at one moment. texture: H W float32, the picture's structure. K for its size."""

    name: str
    texture: NDArray[np.float32]
    K: Matrix
    ego_T_camera: Matrix


def views(frame: Frame) -> dict[str, View]:
    """Name -> view of every camera with a picture."""
    return {camera.name: _view(camera) for camera in frame.cameras if camera.image is not None}


def _view(camera: Camera) -> View:
    image = camera.pixels
    assert image is not None
    scale = WIDTH / camera.width
    K = np.array(camera.K, np.float64)
    if scale < 1:
        size = (WIDTH, round(camera.height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        K[:2] *= scale
        K[:2, 2] += 0.5 * scale - 0.5
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    texture = cv2.GaussianBlur(grey, (0, 0), _FINE_SIGMA) - cv2.GaussianBlur(grey, (0, 0), _COARSE_SIGMA)
    # A lamp or a bright line must not be all that counts.
    return View(camera.name, np.clip(texture, -20, 20), K, np.asarray(camera.ego_T_camera, np.float64))


def road_points(shape: tuple[int, ...], mount: View) -> NDArray[np.float64]:
    """N 2: pixels of a picture of this shape (H W) that show ground near the vehicle, if this mount took it."""
    (height, width), ego_T_camera = shape, mount.ego_T_camera
    v, u = np.mgrid[2 : height - 2 : _STEP, 2 : width - 2 : _STEP]
    pixels = np.stack([u.ravel(), v.ravel()], -1).astype(np.float64)
    ground = on_ground(pixels, mount.K, ego_T_camera)
    distance = np.linalg.norm(ground[:, :2] - ego_T_camera[:2, 3], axis=1)
    shown: NDArray[np.bool_] = (distance > NEAREST_M) & (distance < FARTHEST_M)
    return pixels[shown]


def on_ground(pixels: NDArray[np.float64], K: Matrix, ego_T_camera: Matrix) -> NDArray[np.float64]:
    """N 3: where the rays of the pixels meet z = 0; NaN above the horizon."""
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(K).T @ ego_T_camera[:3, :3].T
    down = np.where(rays[:, 2] < -1e-3, rays[:, 2], np.nan)
    ground: NDArray[np.float64] = ego_T_camera[:3, 3] - rays * (ego_T_camera[2, 3] / down)[:, None]
    return ground


def agreement(
    pictures: tuple[View, View],
    mounts: tuple[View, View],
    before_T_now: Matrix,
    turn: Matrix,
    pixels: NDArray[np.float64],
) -> float:
    """Correlation, -1 to 1, of the road at `pixels` of a picture with the same road in the one before; NaN where it is
    hardly there.

    pictures, mounts: now and before, and whose K and pose are taken for them. before_T_now: ego motion. turn: 3x3,
    turns both cameras in their own frames, to try other mounts than those that are told.
    """
    now, before = pictures
    K, pose = mounts[0].K, _turned(mounts[0].ego_T_camera, turn)
    ground = apply(before_T_now, on_ground(pixels, K, pose))
    in_camera = apply(inverse(_turned(mounts[1].ego_T_camera, turn)), ground)
    with np.errstate(invalid="ignore", divide="ignore"):
        then = in_camera @ mounts[1].K.T
        then = then[:, :2] / then[:, 2:]
        height, width = before.texture.shape
        inside = (in_camera[:, 2] > 0.5) & (then > 1).all(1) & (then < (width - 2, height - 2)).all(1)
    if inside.sum() < LEAST_POINTS:
        return float("nan")
    return _correlation(_sampled(now.texture, pixels[inside]), _sampled(before.texture, then[inside]))


def _turned(ego_T_camera: Matrix, turn: Matrix) -> Matrix:
    pose = ego_T_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ turn
    return pose


def _sampled(texture: NDArray[np.float32], pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    at = pixels.astype(np.float32)[None]
    return cv2.remap(texture, at[..., 0], at[..., 1], cv2.INTER_LINEAR)[0]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6)
