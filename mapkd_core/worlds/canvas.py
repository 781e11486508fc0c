# SPDX-License-Identifier: Apache-2.0
"""Canvas: a picture and its camera, with the few shapes that solids are made of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse
from mapkd_core.worlds.appearance import Look

NEAR_M = 0.4
SHIFT = 3
LIMIT = 1 << 14  # pixels: OpenCV's fixed-point corners must not overflow


class Canvas:
    """Draws map-frame shapes into `image` (H W 3 RGB, changed in place)."""

    def __init__(
        self, image: NDArray[np.uint8], K: NDArray[np.float64], map_T_camera: NDArray[np.float64], look: Look
    ) -> None:
        self.image, self.look = image, look
        self.height, self.width = image.shape[:2]
        self._K, self.map_T_camera, self._camera_T_map = K, map_T_camera, inverse(map_T_camera)
        self.haze = float(np.mean(look.haze))
        self._sun = np.array(look.sun_direction)

    def camera_points(self, points_map: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (..., 3) in the camera frame."""
        return points_map @ self._camera_T_map[:3, :3].T + self._camera_T_map[:3, 3]

    def pixels(self, points_camera: NDArray[np.float64]) -> NDArray[np.float64]:
        """Camera points (..., 3) with z > 0 to pixels (..., 2)."""
        uv = points_camera[..., :2] / points_camera[..., 2:3]
        return uv * (self._K[0, 0], self._K[1, 1]) + self._K[:2, 2]

    def seen(
        self, points_map: NDArray[np.float64], radius: float | NDArray[np.float64], reach: float
    ) -> NDArray[np.int64]:
        """Indices of ground points (N x 2) that may be in the picture, things `radius` (or N of them) wide around."""
        if not len(points_map):
            return np.zeros(0, int)
        points = points_map @ self._camera_T_map[:3, :2].T + self._camera_T_map[:3, 3]
        x, z = points[:, 0], points[:, 2]
        left, right = -self._K[0, 2] / self._K[0, 0], (self.width - self._K[0, 2]) / self._K[0, 0]
        inside = (x > left * z - 1.5 * radius) & (x < right * z + 1.5 * radius)
        return np.nonzero(inside & (z > -radius) & (z < reach))[0]

    def polygons(self, corners_map: NDArray[np.float64], colours: NDArray[np.float64]) -> None:
        """Fill the quads (Q 4 3) in order with their colours as they are, whichever way they face."""
        points = self.camera_points(corners_map)
        whole = points[..., 2].min(axis=1) >= NEAR_M
        fixed = self.fixed(self.pixels(np.where(whole[:, None, None], points, 1.0)))
        for i, colour in enumerate(colours.tolist()):
            if whole[i]:
                cv2.fillConvexPoly(self.image, fixed[i], colour, cv2.LINE_8, SHIFT)
            else:
                self.polygon(points[i], colour)

    def polygon(self, points_camera: NDArray[np.float64], colour: list[float]) -> None:
        """Fill one convex polygon (V x 3, camera frame), cut at the near plane."""
        if points_camera[:, 2].min() < NEAR_M:
            points_camera = _cut_near(points_camera)
            if len(points_camera) < 3:
                return
        cv2.fillConvexPoly(self.image, self.fixed(self.pixels(points_camera)), colour, cv2.LINE_8, SHIFT)

    def darken(self, groups: list[tuple[NDArray[np.float64], float]]) -> None:
        """Multiply the ground inside convex outlines (groups of N x V x 3, map frame) by their group's factor.

        Where outlines overlap, the last one counts.
        """
        gain = np.full((self.height, self.width), 255, np.uint8)
        top, bottom = self.height, 0
        for outlines, factor in groups:
            points = self.camera_points(outlines)
            whole = points[..., 2].min(axis=1) >= NEAR_M
            shapes = list(self.fixed(self.pixels(points[whole])))
            shapes += [self.fixed(self.pixels(cut)) for p in points[~whole] if len(cut := _cut_near(p)) > 2]
            for corners in shapes:
                cv2.fillConvexPoly(gain, corners, round(255 * factor), cv2.LINE_8, SHIFT)
            if shapes:
                rows = np.concatenate([corners[:, 1] for corners in shapes]) >> SHIFT
                top, bottom = min(top, int(rows.min())), max(bottom, int(rows.max()))
        top, bottom = max(top - 1, 0), min(bottom + 2, self.height)
        if top < bottom:
            soft = cv2.blur(gain[top:bottom], (3, 3))
            part = self.image[top:bottom]
            cv2.multiply(part, cv2.cvtColor(soft, cv2.COLOR_GRAY2RGB), part, scale=1 / 255)

    @staticmethod
    def fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
        """Pixels as OpenCV's fixed-point corners."""
        return np.round(np.clip(pixels, -LIMIT, LIMIT) * (1 << SHIFT)).astype(np.int32)

    def light(self, normals: NDArray[np.float64]) -> NDArray[np.float64]:
        """N: brightness of surfaces by their unit normals (N x 3, map frame)."""
        sun = self.look.sun
        up = 0.8 + 0.2 * normals[:, 2]
        return up * (1 - 0.75 * sun) + 0.85 * sun * np.maximum(normals @ self._sun, 0)

    def hazed(self, colours: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Colours N x 3 seen through `depth` metres (N x 1) of the world's air."""
        veil = 1 - np.exp(-depth / self.look.visibility_m)
        return np.clip(colours * (1 - veil) + np.array(self.look.haze) * veil, 0, 255)


def _cut_near(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a convex polygon (V x 3, camera frame) in front of the near plane."""
    out = []
    for i, a in enumerate(points):
        b = points[(i + 1) % len(points)]
        if a[2] >= NEAR_M:
            out.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            out.append(a + (NEAR_M - a[2]) / (b[2] - a[2]) * (b - a))
    return np.array(out).reshape(-1, 3)
