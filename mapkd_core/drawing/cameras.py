# SPDX-License-Identifier: Apache-2.0
"""Map elements on the ground, seen by a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.drawing.colours import colour_of
from mapkd_core.geometry import project
from mapkd_core.types import Camera, MapElement

Image = NDArray[np.uint8]
Height = float | Callable[[NDArray[np.float64]], NDArray[np.float64]]  # z in metres, the same or at points N x 2

_STEP_M = 0.2  # a straight line on the ground is straight in the image, but its thickness changes along it
_NEAR_M = 0.5
_LINE_WIDTH_M = 0.12
_SHIFT = 4


def draw_on_image(
    image: Image, camera: Camera, elements: Sequence[MapElement], z_m: Height = 0.0, alpha: float = 0.85
) -> Image:
    """A copy of `image` with the elements drawn where they lie on the ground z = z_m of the ego frame.

    image: RGB uint8 of any size with the aspect of the camera; the camera's K is scaled to it. Lines get thinner with
    distance; what lies behind the near plane is cut off.
    """
    overlay = image.copy()
    for element in sorted(elements, key=lambda e: e.confidence):
        colour = colour_of(element.class_name)
        runs = list(projected_runs(camera, element, (image.shape[1], image.shape[0]), z_m))
        for points, thickness in runs:
            cv2.polylines(overlay, [_fixed(points)], False, (0, 0, 0), thickness + 2, cv2.LINE_AA, _SHIFT)
        for points, thickness in runs:
            cv2.polylines(overlay, [_fixed(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)
    return cv2.addWeighted(overlay, alpha, image, 1 - alpha, 0)


def projected_runs(
    camera: Camera, element: MapElement, size: tuple[int, int], z_m: Height = 0.0
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Pieces of the element in an image of `size` (width, height): points N x 2 in pixels and a line thickness.

    Pixel centres have integer coordinates, in the camera's own image and in the scaled one.
    """
    scale = np.array([size[0] / camera.width, size[1] / camera.height])
    ground = densify(element.vertices_m, element.is_closed, _STEP_M)
    z = z_m(ground) if callable(z_m) else np.full(len(ground), z_m)
    pixels, depth = project(np.column_stack([ground, z]), camera.K, camera.ego_T_camera)
    pixels = (pixels + 0.5) * scale - 0.5
    margin = np.array(size, float)
    visible = (depth > _NEAR_M) & ((pixels > -margin) & (pixels < 2 * margin)).all(1)
    wide = camera.K[0, 0] * scale[0] * _LINE_WIDTH_M / np.maximum(depth, _NEAR_M)
    thickness = np.clip(np.round(wide), 1, max(2, size[0] // 160)).astype(int)
    # Runs of equal thickness overlap by one point, so that no gap shows where it changes.
    breaks = np.flatnonzero((np.diff(thickness) != 0) | (np.diff(visible.astype(int)) != 0)) + 1
    for start, stop in zip([0, *breaks], [*breaks, len(ground)], strict=True):
        if visible[start]:
            reach = stop + 1 if stop < len(ground) and visible[stop] else stop
            if reach - start > 1:
                yield pixels[start:reach], int(thickness[start])


def densify(vertices_m: NDArray[np.floating], is_closed: bool, step_m: float) -> NDArray[np.float64]:
    """All vertices and points between them at most `step_m` apart; a ring ends where it began."""
    line = np.asarray(vertices_m, np.float64)
    if is_closed:
        line = np.concatenate([line, line[:1]])
    if len(line) < 2:
        return line
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.union1d(along, np.linspace(0, along[-1], int(np.ceil(along[-1] / step_m)) + 1))
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=1)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)
