# SPDX-License-Identifier: Apache-2.0
"""Upright textured rectangles in a picture: walls as they stand, billboards that face the camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.canvas import LIMIT, NEAR_M, SHIFT, Canvas
from mapkd_core.worlds.sprites import Levels

Span = tuple[float, float, float, float]
_PLAIN_PX = 120  # smaller rectangles are drawn in one colour
LEAST_WIDTH_PX, LEAST_HEIGHT_PX = 0.8, 3.0  # smaller things are left out
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


class Uprights(NamedTuple):
    """N upright rectangles (or sets of V corners) in a picture: indices worth drawing, then for each camera points
    V x 3, pixels V x 2, x0 y0 x1 y1 inside the picture, width and height in pixels, mean depth, whether none of it is
    too near, the same as fixed-point corners, those from x0 y0 on, and x y width height in whole pixels."""

    shown: NDArray[np.int64]
    points: NDArray[np.float64]
    pixels: NDArray[np.float64]
    roi: NDArray[np.int64]
    size: NDArray[np.float64]
    depth: NDArray[np.float64]
    whole: NDArray[np.bool_]
    fixed: NDArray[np.int32]
    local: NDArray[np.int32]
    rounded: NDArray[np.int64]


def place(canvas: Canvas, corners_map: NDArray[np.float64]) -> Uprights:
    """Rectangles N x 4 x 3 (map frame: start foot, end foot, end top, start top) as they lie in the picture."""
    points = canvas.camera_points(corners_map)
    depth = points[..., 2]
    pixels = canvas.pixels(np.where(depth[..., None] < 0.05, 0.05, points))
    return _placed(canvas, points, pixels, depth.min(axis=1) >= NEAR_M)


def _placed(
    canvas: Canvas, points: NDArray[np.float64], pixels: NDArray[np.float64], whole: NDArray[np.bool_]
) -> Uprights:
    depth, low, high = points[..., 2], pixels.min(axis=1), pixels.max(axis=1)
    size = high - low
    inside = (high > 0).all(axis=1) & (low < (canvas.width, canvas.height)).all(axis=1)
    shown = inside & whole & (size[:, 0] > LEAST_WIDTH_PX) & (size[:, 1] > LEAST_HEIGHT_PX)
    shown |= ~whole & (depth.max(axis=1) > NEAR_M + 0.05)
    first = np.maximum(low, 0).astype(int)
    last = np.minimum(high.astype(int) + 2, (canvas.width, canvas.height))
    rounded = np.round(np.hstack([low, np.maximum(size, 1)]).clip(-LIMIT, LIMIT)).astype(int)
    local = canvas.fixed(pixels - first[:, None])
    return Uprights(
        np.nonzero(shown)[0], points, pixels, np.hstack([first, last]), size, depth.mean(axis=1), whole,
        canvas.fixed(pixels), local, rounded,
    )  # fmt: skip


def facing(
    foot: NDArray[np.float64], size: NDArray[np.float64], z: NDArray[np.float64], map_T_camera: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Corners N x 4 x 3 (map frame) of upright rectangles that face the camera: foot N x 2 on the ground at heights
    z N, width and height N x 2."""
    right = map_T_camera[:2, 0] / np.hypot(*map_T_camera[:2, 0])
    half = size[:, :1] / 2 * right
    corners = np.zeros((len(foot), 4, 3))
    corners[:, [0, 3], :2], corners[:, [1, 2], :2] = (foot - half)[:, None], (foot + half)[:, None]
    corners[:, 2:, 2] = size[:, 1:]
    corners[:, :, 2] += z[:, None]
    return corners


def draw_wall(canvas: Canvas, uprights: Uprights, i: int, texture: Levels, span: Span, light: float) -> None:
    """Texture levels on rectangle i; span: left right top bottom shares of the texture."""
    if not uprights.whole[i]:
        _draw_cut_wall(canvas, uprights.points[i], texture, span, light)
        return
    width, height = uprights.size[i].tolist()
    u0, u1, v0, v1 = span
    veil = 1 - math.exp(-float(uprights.depth[i]) / canvas.look.visibility_m)
    if width * height < _PLAIN_PX:
        _draw_plain(canvas, uprights.fixed[i], texture, span, light, veil)
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
    cv2.fillConvexPoly(mask, uprights.local[i], 255, cv2.LINE_8, SHIFT)
    if opaque is not None:
        cut = cv2.warpPerspective(opaque, matrix, size, flags=_WARP, borderMode=cv2.BORDER_REPLICATE)
        cv2.min(mask, cut, mask)
        cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY, mask)
    _stamp(canvas, warped, mask, x0, y0, light, veil)


def draw_billboard(canvas: Canvas, uprights: Uprights, i: int, texture: Levels) -> None:
    """Texture levels on rectangle i, which must face the camera and lie wholly before it."""
    if not uprights.whole[i]:
        return
    x, y, w, h = uprights.rounded[i].tolist()
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, canvas.width), min(y + h, canvas.height)
    if x1 <= x0 or y1 <= y0:
        return
    colours, opaque = texture[_level(texture, float(uprights.size[i, 1]))]
    size = (x1 - x0, y1 - y0)
    if size != (w, h):  # the picture's edge cuts it
        sx, sy = colours.shape[1] / w, colours.shape[0] / h
        rows = slice(int((y0 - y) * sy), math.ceil((y1 - y) * sy))
        columns = slice(int((x0 - x) * sx), math.ceil((x1 - x) * sx))
        colours, opaque = colours[rows, columns], None if opaque is None else opaque[rows, columns]
    scaled = cv2.resize(colours, size, interpolation=cv2.INTER_LINEAR)
    if opaque is None:
        mask = np.full((size[1], size[0]), 255, np.uint8)
    else:
        mask = cv2.resize(opaque, size, interpolation=cv2.INTER_LINEAR)
        cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY, mask)
    veil = 1 - math.exp(-float(uprights.depth[i]) / canvas.look.visibility_m)
    _stamp(canvas, scaled, mask, x0, y0, 1.0, veil)


def _draw_cut_wall(canvas: Canvas, points: NDArray[np.float64], texture: Levels, span: Span, light: float) -> None:
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
        pixels = np.clip(canvas.pixels(points), -LIMIT, LIMIT)
        one = _placed(canvas, points[None], pixels[None], np.ones(1, bool))
        draw_wall(canvas, one, 0, texture, (u0, u1, v0, v1), light)


def _draw_plain(
    canvas: Canvas, fixed: NDArray[np.int32], texture: Levels, span: Span, light: float, veil: float
) -> None:
    """A rectangle too small for its texture, in the colour of its part of it."""
    colours = texture[-1][0]
    h, w = colours.shape[:2]
    row, column = min(int((span[2] + span[3]) / 2 * h), h - 1), min(int((span[0] + span[1]) / 2 * w), w - 1)
    colour = colours[row, column] * (light * (1 - veil)) + canvas.haze * veil
    cv2.fillConvexPoly(canvas.image, fixed, colour.tolist(), cv2.LINE_8, SHIFT)


def _stamp(
    canvas: Canvas, colours: NDArray[np.uint8], mask: NDArray[np.uint8], x0: int, y0: int, light: float, veil: float
) -> None:
    if veil > 0.01 or abs(light - 1) > 0.01:
        cv2.convertScaleAbs(colours, colours, alpha=light * (1 - veil), beta=canvas.haze * veil)
    h, w = mask.shape
    cv2.copyTo(colours, mask, canvas.image[y0 : y0 + h, x0 : x0 + w])


def _level(texture: Levels, height_px: float) -> int:
    """The level whose height comes nearest to `height_px`."""
    ratio = texture[0][0].shape[0] / max(height_px, 1.0)
    return min(int(math.log2(ratio) + 0.3) if ratio > 1 else 0, len(texture) - 1)
