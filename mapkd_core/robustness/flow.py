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

from mapkd_core.geometry import Matrix, inverse
from mapkd_core.types import Camera, Frame

WIDTH = 352  # px that pictures are scaled to: more shows more grain, not more road
NEAREST_M, FARTHEST_M = 2.0, 15.0
LEAST_POINTS = 60
_STEP = 4  # px between points
_DOWN, _LEAST_DEPTH_M = -1e-3, 0.5  # z of a ray that meets the ground, and how far ahead of the camera that must be
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
    """3 N, rows u, v and 1: pixels of a picture of this shape (H W) that show ground near the vehicle, if this mount
    took it.
    """
    (height, width), ego_T_camera = shape, mount.ego_T_camera
    v, u = np.mgrid[2 : height - 2 : _STEP, 2 : width - 2 : _STEP]
    pixels = np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
    rays = ego_T_camera[:3, :3] @ np.linalg.inv(mount.K) @ pixels
    with np.errstate(divide="ignore"):
        distance = np.linalg.norm(rays[:2], axis=0) * ego_T_camera[2, 3] / -rays[2]
    shown: NDArray[np.bool_] = (rays[2] < _DOWN) & (distance > NEAREST_M) & (distance < FARTHEST_M)
    return pixels[:, shown]


def agreement(
    pictures: tuple[View, View],
    mounts: tuple[View, View],
    before_T_now: Matrix,
    turn: Matrix,
    road: NDArray[np.float64],
) -> float:
    """Correlation, -1 to 1, of the `road_points` of a picture with the same road in the one before; NaN where it is
    hardly there.

    pictures, mounts: now and before, and whose K and pose are taken for them. before_T_now: ego motion. turn: 3x3,
    turns both cameras in their own frames, to try other mounts than those that are told.
    """
    now, before = pictures
    height, width = before.texture.shape
    x, y, depth, down = road_motion(mounts, before_T_now, turn) @ road
    with np.errstate(invalid="ignore", divide="ignore"):
        u, v = x / depth, y / depth
    inside = (down < _DOWN) & (depth < _LEAST_DEPTH_M * down)  # both negative
    inside &= (u > 1) & (u < width - 2) & (v > 1) & (v < height - 2)
    if inside.sum() < LEAST_POINTS:
        return float("nan")
    columns, rows = road[:2, inside].astype(int)
    return _correlation(now.texture[rows, columns], _sampled(before.texture, u[inside], v[inside]))


def road_motion(mounts: tuple[View, View], before_T_now: Matrix, turn: Matrix) -> Matrix:
    """4 3: of a pixel u, v, 1 that shows the ground z = 0, where that was in the picture before.

    The first three rows are the homography, scaled so that its last one gives the depth in metres times what the fourth
    gives: the z of the pixel's ray in the ego frame, negative where the ray meets the ground.
    """
    now, before = mounts
    up = np.array([0.0, 0.0, 1.0])
    ego_from_pixel = now.ego_T_camera[:3, :3] @ turn @ np.linalg.inv(now.K)  # rays
    at = now.ego_T_camera[:3, 3]
    on_ground = np.outer(at, up) - at[2] * np.eye(3)  # where a ray meets it, times the ray's z; so are all that follow
    was = before_T_now[:3, :3] @ on_ground + np.outer(before_T_now[:3, 3], up)
    camera_T_ego = inverse(_turned(before.ego_T_camera, turn))
    in_camera = camera_T_ego[:3, :3] @ was + np.outer(camera_T_ego[:3, 3], up)
    return np.vstack([before.K @ in_camera @ ego_from_pixel, ego_from_pixel[2:]])


def _turned(ego_T_camera: Matrix, turn: Matrix) -> Matrix:
    pose = ego_T_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ turn
    return pose


def _sampled(texture: NDArray[np.float32], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float32]:
    at_u, at_v = u.astype(np.float32)[None], v.astype(np.float32)[None]
    return cv2.remap(texture, at_u, at_v, cv2.INTER_LINEAR)[0]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6)
