# SPDX-License-Identifier: Apache-2.0
"""Canvas: a picture and its camera, with the few shapes that solids are made of."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.sprites import Levels

NEAR_M = 0.4
_PLAIN_PX = 120  # smaller rectangles are drawn in one colour
_SHIFT = 3
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
Span = tuple[float, float, float, float]
_LIMIT = 1 << 14  # pixels: OpenCV's fixed-point corners must not overflow


class Uprights(NamedTuple):
    """N upright rectangles in a picture: indices worth drawing, then per rectangle camera points 4 x 3, pixels 4 x 2,
    x0 y0 x1 y1 inside the picture, width and height in pixels, mean depth, and whether none of it is too near."""

    shown: NDArray[np.int64]
    points: NDArray[np.float64]
    pixels: NDArray[np.float64]
    roi: NDArray[np.int64]
    size: NDArray[np.float64]
    depth: NDArray[np.float64]
    whole: NDArray[np.bool_]


class Canvas:
    """Draws map-frame shapes into `image` (H W 3 RGB, changed in place)."""

    def __init__(
        self, image: NDArray[np.uint8], K: NDArray[np.float64], map_T_camera: NDArray[np.float64], look: Look
    ) -> None:
        self.image, self.look = image, look
        self.height, self.width = image.shape[:2]
        self._K, self.map_T_camera, self._camera_T_map = K, map_T_camera, inverse(map_T_camera)
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
        points = points_map @ self._camera_T_map[:3, :2].T + self._camera_T_map[:3, 3]
        x, z = points[:, 0], points[:, 2]
        left, right = -self._K[0, 2] / self._K[0, 0], (self.width - self._K[0, 2]) / self._K[0, 0]
        inside = (x > left * z - 1.5 * radius) & (x < right * z + 1.5 * radius)
        return np.nonzero(inside & (z > -radius) & (z < reach))[0]

    def quads(self, corners_map: NDArray[np.float64], colours: NDArray[np.float64], light: bool = True) -> None:
        """Fill the quads (Q 4 3, counter-clockwise from outside) that face the camera, in order, lit by the sun."""
        points = self.camera_points(corners_map)
        depth = points[..., 2]
        if depth.max() < NEAR_M:
            return
        if light:
            one, other = corners_map[:, 1] - corners_map[:, 0], corners_map[:, 2] - corners_map[:, 1]
            normals = _cross(one, other)
            normals /= np.maximum(np.sqrt((normals * normals).sum(axis=1)), 1e-9)[:, None]
            colours = colours * self._light(normals)[:, None]
        one, other = points[:, 1] - points[:, 0], points[:, 2] - points[:, 1]
        facing = np.nonzero((_cross(one, other) * points[:, 0]).sum(axis=1) < 0)[0]
        shown = self._hazed(colours[facing], max(float(depth.mean()), 1.0)).tolist()
        if depth.min() < NEAR_M:
            for i, colour in zip(facing, shown, strict=True):
                self.polygon(points[i], colour)
            return
        fixed = self._fixed(self.pixels(points[facing]))
        for quad, colour in zip(fixed, shown, strict=True):
            cv2.fillConvexPoly(self.image, quad, colour, cv2.LINE_8, _SHIFT)

    def polygons(self, corners_map: NDArray[np.float64], colours: NDArray[np.float64]) -> None:
        """Fill the quads (Q 4 3) in order with their colours as they are, whichever way they face."""
        points = self.camera_points(corners_map)
        whole = points[..., 2].min(axis=1) >= NEAR_M
        fixed = self._fixed(self.pixels(np.where(whole[:, None, None], points, 1.0)))
        for i, colour in enumerate(colours.tolist()):
            if whole[i]:
                cv2.fillConvexPoly(self.image, fixed[i], colour, cv2.LINE_8, _SHIFT)
            else:
                self.polygon(points[i], colour)

    def polygon(self, points_camera: NDArray[np.float64], colour: list[float]) -> None:
        """Fill one convex polygon (V x 3, camera frame), cut at the near plane."""
        if points_camera[:, 2].min() < NEAR_M:
            points_camera = _cut_near(points_camera)
            if len(points_camera) < 3:
                return
        cv2.fillConvexPoly(self.image, self._fixed(self.pixels(points_camera)), colour, cv2.LINE_8, _SHIFT)

    def darken(self, groups: list[tuple[NDArray[np.float64], float]]) -> None:
        """Multiply the ground inside convex outlines (groups of N x V x 2 on z = 0) by their group's factor.

        Where outlines overlap, the last one counts.
        """
        gain = np.full((self.height, self.width), 255, np.uint8)
        top, bottom = self.height, 0
        for outlines, factor in groups:
            points = outlines @ self._camera_T_map[:3, :2].T + self._camera_T_map[:3, 3]
            whole = points[..., 2].min(axis=1) >= NEAR_M
            shapes = list(self._fixed(self.pixels(points[whole])))
            shapes += [self._fixed(self.pixels(cut)) for p in points[~whole] if len(cut := _cut_near(p)) > 2]
            for corners in shapes:
                cv2.fillConvexPoly(gain, corners, round(255 * factor), cv2.LINE_8, _SHIFT)
            if shapes:
                rows = np.concatenate([corners[:, 1] for corners in shapes]) >> _SHIFT
                top, bottom = min(top, int(rows.min())), max(bottom, int(rows.max()))
        top, bottom = max(top - 1, 0), min(bottom + 2, self.height)
        if top < bottom:
            soft = cv2.blur(gain[top:bottom], (3, 3))
            part = self.image[top:bottom]
            cv2.multiply(part, cv2.cvtColor(soft, cv2.COLOR_GRAY2RGB), part, scale=1 / 255)

    def upright(self, corners_map: NDArray[np.float64]) -> Uprights:
        """Rectangles N x 4 x 3 (map frame: start foot, end foot, end top, start top) as they lie in the picture."""
        points = self.camera_points(corners_map)
        depth = points[..., 2]
        pixels = self.pixels(np.where(depth[..., None] < 0.05, 0.05, points))
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        size = high - low
        whole = depth.min(axis=1) >= NEAR_M
        inside = (high > 0).all(axis=1) & (low < (self.width, self.height)).all(axis=1)
        shown = (inside & whole & (size[:, 0] > 0.8) & (size[:, 1] > 3)) | (
            ~whole & (depth.max(axis=1) > NEAR_M + 0.05)
        )
        first = np.maximum(low, 0).astype(int)
        last = np.minimum(high.astype(int) + 2, (self.width, self.height))
        return Uprights(np.nonzero(shown)[0], points, pixels, np.hstack([first, last]), size, depth.mean(axis=1), whole)

    def textured(self, uprights: Uprights, i: int, texture: Levels, span: Span, light: float) -> None:
        """Texture levels on rectangle i; span: left right top bottom shares of the texture."""
        if not uprights.whole[i]:
            self._cut_textured(uprights.points[i], texture, span, light)
            return
        width, height = uprights.size[i].tolist()
        u0, u1, v0, v1 = span
        veil = 1 - math.exp(-float(uprights.depth[i]) / self.look.visibility_m)
        if width * height < _PLAIN_PX:
            self._plain(uprights.pixels[i], texture, span, light, veil)
            return
        x0, y0, x1, y1 = uprights.roi[i].tolist()
        if x1 <= x0 or y1 <= y0:
            return
        colours, opaque = texture[_level(texture, height / max(v1 - v0, 1e-3))]
        h, w = colours.shape[:2]
        left, right, top, bottom = u0 * w - 0.5, u1 * w - 0.5, v0 * h - 0.5, v1 * h - 0.5
        patch = np.array(((left, bottom), (right, bottom), (right, top), (left, top)), np.float32)
        local = (uprights.pixels[i] - (x0, y0)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(local, patch)
        size = (x1 - x0, y1 - y0)
        warped = cv2.warpPerspective(colours, matrix, size, flags=_WARP, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(mask, self._fixed(local), 255, cv2.LINE_8, _SHIFT)
        if opaque is not None:
            cut = cv2.warpPerspective(opaque, matrix, size, flags=_WARP, borderMode=cv2.BORDER_REPLICATE)
            cv2.min(mask, cut, mask)
            cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY, mask)
        self._stamp(warped, mask, x0, y0, light, veil)

    def billboard(self, uprights: Uprights, i: int, texture: Levels) -> None:
        """Texture levels on rectangle i, which must face the camera and lie wholly before it."""
        if not uprights.whole[i]:
            return
        x_min, y_min = uprights.pixels[i].min(axis=0).tolist()
        width, height = uprights.size[i].tolist()
        x, y, w, h = round(x_min), round(y_min), max(1, round(width)), max(1, round(height))
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, self.width), min(y + h, self.height)
        if x1 <= x0 or y1 <= y0:
            return
        colours, opaque = texture[_level(texture, height)]
        rows, columns = colours.shape[:2]
        sx, sy = columns / w, rows / h
        part = (
            slice(int((y0 - y) * sy), math.ceil((y1 - y) * sy)),
            slice(int((x0 - x) * sx), math.ceil((x1 - x) * sx)),
        )
        size = (x1 - x0, y1 - y0)
        scaled = cv2.resize(colours[part], size, interpolation=cv2.INTER_LINEAR)
        mask = np.full((size[1], size[0]), 255, np.uint8)
        if opaque is not None:
            mask = cv2.resize(opaque[part], size, interpolation=cv2.INTER_LINEAR)
            cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY, mask)
        veil = 1 - math.exp(-float(uprights.depth[i]) / self.look.visibility_m)
        self._stamp(scaled, mask, x0, y0, 1.0, veil)

    def _cut_textured(self, points: NDArray[np.float64], texture: Levels, span: Span, light: float) -> None:
        """A rectangle that reaches behind the near plane: keep the part in front, with its part of the texture."""
        u0, u1, v0, v1 = span
        depths = points[:2, 2]
        share = (NEAR_M + 0.05 - depths[0]) / (depths[1] - depths[0] + 1e-12)
        if not 0 < share < 1:
            return
        points = points.copy()
        cut = points[[0, 3]] + share * (points[[1, 2]] - points[[0, 3]])
        if depths[0] < depths[1]:
            points[[0, 3]], u0 = cut, u0 + share * (u1 - u0)
        else:
            points[[1, 2]], u1 = cut, u0 + share * (u1 - u0)
        if points[:, 2].min() >= 0.1:
            pixels = np.clip(self.pixels(points), -_LIMIT, _LIMIT)
            low, high = pixels.min(axis=0), pixels.max(axis=0)
            roi = np.hstack(
                [np.maximum(low, 0).astype(int), np.minimum(high.astype(int) + 2, (self.width, self.height))]
            )
            depth = points[:, 2].mean()
            one = Uprights(np.zeros(1, int), *(np.array([v]) for v in (points, pixels, roi, high - low, depth, True)))
            self.textured(one, 0, texture, (u0, u1, v0, v1), light)

    def _plain(self, pixels: NDArray[np.float64], texture: Levels, span: Span, light: float, veil: float) -> None:
        """A rectangle too small for its texture, in the colour of its part of it."""
        colours = texture[-1][0]
        h, w = colours.shape[:2]
        row, column = min(int((span[2] + span[3]) / 2 * h), h - 1), min(int((span[0] + span[1]) / 2 * w), w - 1)
        colour = colours[row, column] * (light * (1 - veil)) + self._haze * veil
        cv2.fillConvexPoly(self.image, self._fixed(pixels), colour.tolist(), cv2.LINE_8, _SHIFT)

    def _stamp(
        self, colours: NDArray[np.uint8], mask: NDArray[np.uint8], x0: int, y0: int, light: float, veil: float
    ) -> None:
        if veil > 0.01 or abs(light - 1) > 0.01:
            cv2.convertScaleAbs(colours, colours, alpha=light * (1 - veil), beta=self._haze * veil)
        h, w = mask.shape
        cv2.copyTo(colours, mask, self.image[y0 : y0 + h, x0 : x0 + w])

    def _fixed(self, pixels: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.round(np.clip(pixels, -_LIMIT, _LIMIT) * (1 << _SHIFT)).astype(np.int32)

    def _light(self, normals: NDArray[np.float64]) -> NDArray[np.float64]:
        sun = self.look.sun
        up = 0.8 + 0.2 * normals[:, 2]
        return up * (1 - 0.75 * sun) + 0.85 * sun * np.maximum(normals @ self._sun, 0)

    def _hazed(self, colours: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
        veil = 1 - np.exp(-depth / self.look.visibility_m)
        return np.clip(colours * (1 - veil) + np.array(self.look.haze) * veil, 0, 255)


def _level(texture: Levels, height_px: float) -> int:
    """The level whose height comes nearest to `height_px`."""
    ratio = texture[0][0].shape[0] / max(height_px, 1.0)
    return min(int(math.log2(ratio) + 0.3) if ratio > 1 else 0, len(texture) - 1)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products of N x 3 vectors (several times faster than np.cross on small arrays)."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]


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
