# SPDX-License-Identifier: Apache-2.0
"""Canvas: a picture and its camera, with the few shapes that solids are made of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.appearance import Look

NEAR_M = 0.4
_SHIFT = 3
_LIMIT = 1 << 14  # pixels: OpenCV's fixed-point corners must not overflow


class Canvas:
    """Draws map-frame shapes into `image` (H W 3 RGB, changed in place); camera_T_map 4x4."""

    def __init__(
        self, image: NDArray[np.uint8], K: NDArray[np.float64], camera_T_map: NDArray[np.float64], look: Look
    ) -> None:
        self.image, self.look = image, look
        self.height, self.width = image.shape[:2]
        self._K, self._camera_T_map = K, camera_T_map
        self._haze = float(np.mean(look.haze))
        self._sun = np.array(look.sun_direction)

    def camera_points(self, points_map: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (..., 3) in the camera frame."""
        return points_map @ self._camera_T_map[:3, :3].T + self._camera_T_map[:3, 3]

    def pixels(self, points_camera: NDArray[np.float64]) -> NDArray[np.float64]:
        """Camera points (..., 3) with z > 0 to pixels (..., 2)."""
        uv = points_camera[..., :2] / points_camera[..., 2:3]
        return uv * (self._K[0, 0], self._K[1, 1]) + self._K[:2, 2]

    def seen(self, points_map: NDArray[np.float64], radius: float, reach: float) -> NDArray[np.int64]:
        """Indices of ground points (N x 2) that may be in the picture, things up to `radius` wide around them."""
        if not len(points_map):
            return np.zeros(0, int)
        points = self.camera_points(np.column_stack([points_map, np.zeros(len(points_map))]))
        x, z = points[:, 0], points[:, 2]
        left, right = -self._K[0, 2] / self._K[0, 0], (self.width - self._K[0, 2]) / self._K[0, 0]
        inside = (x > left * z - 1.5 * radius) & (x < right * z + 1.5 * radius)
        return np.nonzero(inside & (z > -radius) & (z < reach))[0]

    def quads(self, corners_map: NDArray[np.float64], colours: NDArray[np.float64]) -> None:
        """Fill the quads (Q 4 3, counter-clockwise from outside) that face the camera, in order, lit by the sun."""
        points = self.camera_points(corners_map)
        normals = np.cross(corners_map[:, 1] - corners_map[:, 0], corners_map[:, 2] - corners_map[:, 1])
        normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-9)[:, None]
        light = self._light(normals)
        distance = max(float(points[..., 2].mean()), 1.0)
        shown = self._hazed(np.asarray(colours) * light[:, None], distance)
        if points[..., 2].max() < NEAR_M:
            return
        cam_normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 1])
        facing = np.einsum("ij,ij->i", cam_normals, points[:, 0]) < 0
        for quad, colour in zip(points[facing], shown[facing].tolist(), strict=True):
            self.polygon(quad, colour)

    def polygon(self, points_camera: NDArray[np.float64], colour: list[float]) -> None:
        """Fill one convex polygon (V x 3, camera frame), cut at the near plane."""
        if points_camera[:, 2].min() < NEAR_M:
            points_camera = _cut_near(points_camera)
            if len(points_camera) < 3:
                return
        cv2.fillConvexPoly(self.image, self._fixed(self.pixels(points_camera)), colour, cv2.LINE_8, _SHIFT)

    def darken(self, outline_map: NDArray[np.float64], factor: float) -> None:
        """Multiply the ground inside a convex outline (V x 2 on z = 0) by `factor`."""
        points = self.camera_points(np.column_stack([outline_map, np.zeros(len(outline_map))]))
        points = _cut_near(points)
        if len(points) < 3 or points[:, 2].mean() > 60:
            return
        corners = self._fixed(self.pixels(points))
        if (roi := self._roi(corners / (1 << _SHIFT))) is None:
            return
        x0, y0, x1, y1 = roi
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillConvexPoly(mask, corners - np.array([x0, y0], np.int32) * (1 << _SHIFT), 255, cv2.LINE_8, _SHIFT)
        mask = cv2.blur(mask, (3, 3))
        gain = 255 - (mask * (1 - factor)).astype(np.uint8)
        part = self.image[y0:y1, x0:x1]
        part[:] = cv2.multiply(part, cv2.merge([gain] * 3), scale=1 / 255)

    def wall(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        z: NDArray[np.float64],
        texture: tuple[NDArray[np.uint8], ...],
        span: NDArray[np.float64],
        light: float,
    ) -> None:
        """Texture levels (RGBA) on an upright rectangle; span: left right top bottom shares of the texture."""
        ends = np.array([[*start, z[0]], [*end, z[0]], [*end, z[1]], [*start, z[1]]])
        points = self.camera_points(ends)
        u0, u1, v0, v1 = span
        depths = points[:2, 2]
        if depths.max() < NEAR_M + 0.05:
            return
        if points[:, 2].min() < NEAR_M:
            share = (NEAR_M + 0.05 - depths[0]) / (depths[1] - depths[0])
            cut = points[[0, 3]] + share * (points[[1, 2]] - points[[0, 3]])
            if depths[0] < depths[1]:
                points[[0, 3]], u0 = cut, u0 + share * (u1 - u0)
            else:
                points[[1, 2]], u1 = cut, u0 + share * (u1 - u0)
            if points[:, 2].min() < 0.1:
                return
        corners = np.clip(self.pixels(points), -_LIMIT, _LIMIT)
        if (roi := self._roi(corners)) is None:
            return
        tall = max(np.ptp(corners[:, 1]), 1.0)
        level = self._level(texture, tall / max(v1 - v0, 1e-3))
        source = texture[level]
        h, w = source.shape[:2]
        patch = np.array([[u0 * w, v1 * h], [u1 * w, v1 * h], [u1 * w, v0 * h], [u0 * w, v0 * h]]) - 0.5
        self._paste(source, patch, corners, roi, light, float(points[:, 2].mean()))

    def billboard(
        self, foot: NDArray[np.float64], size: NDArray[np.float64], texture: tuple[NDArray[np.uint8], ...]
    ) -> None:
        """Texture levels (RGBA) on a rectangle (width, height metres) that faces the camera."""
        base, top = self.camera_points(np.array([[*foot, 0.0], [*foot, size[1]]]))
        if base[2] < 0.7:
            return
        half = np.array([size[0] / 2, 0, 0])
        corners = self.pixels(np.stack([base - half, base + half, top + half, top - half]))
        if (roi := self._roi(corners)) is None:
            return
        source = texture[self._level(texture, np.ptp(corners[:, 1]))]
        h, w = source.shape[:2]
        patch = np.array([[0, h], [w, h], [w, 0], [0, 0]]) - 0.5
        self._paste(source, patch, corners, roi, 1.0, float(base[2]))

    def _paste(
        self,
        source: NDArray,
        patch: NDArray,
        corners: NDArray,
        roi: tuple[int, int, int, int],
        light: float,
        depth: float,
    ) -> None:
        x0, y0, x1, y1 = roi
        local = (corners - (x0, y0)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(local, patch.astype(np.float32))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpPerspective(source, matrix, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros(warped.shape[:2], np.uint8)
        fixed = np.round(local * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_8, _SHIFT)
        opaque = cv2.extractChannel(warped, 3)
        mask = cv2.bitwise_and(mask, cv2.compare(opaque, 127, cv2.CMP_GT))
        veil = 1 - np.exp(-depth / self.look.visibility_m)
        colour = cv2.convertScaleAbs(
            cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), alpha=light * (1 - veil), beta=self._haze * veil
        )
        cv2.copyTo(colour, mask, self.image[y0:y1, x0:x1])

    def _level(self, texture: tuple[NDArray[np.uint8], ...], height_px: float) -> int:
        level = int(np.floor(np.log2(max(texture[0].shape[0] / max(height_px, 1.0), 1.0)) + 0.3))
        return min(level, len(texture) - 1)

    def _roi(self, corners: NDArray) -> tuple[int, int, int, int] | None:
        x0, y0 = np.floor(np.maximum(corners.min(axis=0), 0)).astype(int)
        x1, y1 = np.ceil(np.minimum(corners.max(axis=0) + 1, (self.width, self.height))).astype(int)
        return (int(x0), int(y0), int(x1), int(y1)) if x1 > x0 and y1 > y0 else None

    def _fixed(self, pixels: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.round(np.clip(pixels, -_LIMIT, _LIMIT) * (1 << _SHIFT)).astype(np.int32)

    def _light(self, normals: NDArray[np.float64]) -> NDArray[np.float64]:
        sun = self.look.sun
        up = 0.8 + 0.2 * normals[:, 2]
        return up * (1 - 0.75 * sun) + 0.85 * sun * np.maximum(normals @ self._sun, 0)

    def _hazed(self, colours: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
        veil = 1 - np.exp(-depth / self.look.visibility_m)
        return np.clip(colours * (1 - veil) + np.array(self.look.haze) * veil, 0, 255)


def _cut_near(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a convex polygon (V x 3, camera frame) in front of the near plane."""
    out = []
    for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
        if a[2] >= NEAR_M:
            out.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            out.append(a + (NEAR_M - a[2]) / (b[2] - a[2]) * (b - a))
    return np.array(out).reshape(-1, 3)
