# SPDX-License-Identifier: Apache-2.0
"""Where the true lines lie in the pictures: a hint for the camera encoder in training.

Dense supervision in the perspective view, as MapTRv2's auxiliary segmentation (arXiv 2308.05736, section 3.5). Lines
are drawn where the calibration says they are, whether or not something hides them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core import geometry
from mapkd_core.data.prepare import Prepared
from mapkd_core.types import MapElement
from mapkd_core.worlds.relief import FLAT, Relief

STRIDE = 8  # of the features that are told
STEP_M = 0.5  # lines are cut so short before projection: the near plane cuts a step, not a line
NEAREST_DEPTH_M = 0.5
_SHIFT = 4  # OpenCV draws with 1/16 px


def camera_lines(
    elements: Sequence[MapElement], prepared: Prepared, classes: Sequence[str], relief: Relief = FLAT
) -> NDArray[np.uint8]:
    """N K h w, 1 where a line of the class passes through the feature cell; h w are the picture's size / STRIDE.

    relief: the ground on which the lines lie, ego frame.
    """
    n, _, height, width = prepared.images.shape
    lines = np.zeros((n, len(classes), height // STRIDE, width // STRIDE), np.uint8)
    told = [(classes.index(e.class_name), _dense(e, relief)) for e in elements if e.class_name in classes]
    for camera in np.flatnonzero(prepared.valid):
        for layer, xyz in told:
            uv, depth = geometry.project(xyz, prepared.K[camera], prepared.ego_T_camera[camera])
            cells = (uv + 0.5) / STRIDE - 0.5  # pixel centres of the picture to those of the features
            for part in _seen(cells, depth, lines.shape[2:]):
                points = np.round(part * (1 << _SHIFT)).astype(np.int32)
                cv2.polylines(lines[camera, layer], [points], isClosed=False, color=1, shift=_SHIFT)
    return lines


def _dense(element: MapElement, relief: Relief) -> NDArray[np.float64]:
    """P x 3 on the ground, at most STEP_M apart."""
    xy = np.asarray(element.vertices_m, np.float64)
    if element.is_closed:
        xy = np.concatenate([xy, xy[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(xy, axis=0), axis=1))])
    at = np.union1d(along, np.arange(0.0, along[-1], STEP_M))
    dense = np.column_stack([np.interp(at, along, xy[:, 0]), np.interp(at, along, xy[:, 1])])
    return np.column_stack([dense, relief.height(dense)])


def _seen(cells: NDArray, depth: NDArray, size: tuple[int, ...]) -> list[NDArray]:
    """The runs of points in front of the camera that are not far beside the picture."""
    height, width = size
    near = (cells > (-width, -height)).all(1) & (cells < (2 * width, 2 * height)).all(1)
    index = np.flatnonzero((depth > NEAREST_DEPTH_M) & near)
    runs = np.split(index, np.flatnonzero(np.diff(index) > 1) + 1)
    return [cells[run] for run in runs if len(run) > 1]
