# SPDX-License-Identifier: Apache-2.0
"""Stair-stepped runs of cells -> smooth lines with few vertices that reach the border of the grid."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW = 5  # cells of the moving average; a corner is rounded by about one cell
_NEAR_BORDER = 4.0  # cells; a line that ends nearer to the border is taken to leave the grid
_HOOK = 4  # cells of such an end that are not trusted
_BORDER_REACH = 11.0  # cells over which it is continued at most, along its own heading
_HEADING_OVER = 12  # cells over which the heading of its end is taken


def smooth(cells: NDArray[np.integer], is_closed: bool) -> NDArray[np.float64]:
    """N x 2 cells -> N x 2, each the mean of its neighbourhood along the line; the ends of an open line stay."""
    line = np.asarray(cells, np.float64)
    half = min(_WINDOW // 2, (len(line) - 1) // 2)
    if half < 1:
        return line
    if is_closed:
        padded = np.concatenate([line[-half:], line, line[:half]])
    else:  # mirrored through the end points, so that these are their own mean
        padded = np.concatenate([2 * line[0] - line[half:0:-1], line, 2 * line[-1] - line[-2 : -2 - half : -1]])
    total = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    return (total[2 * half + 1 :] - total[: -2 * half - 1]) / (2 * half + 1)


def reach_border(line: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Continue the ends that stop just before the border of the [Y, X] grid straight on to it."""
    return _continued(_continued(line, shape)[::-1], shape)[::-1]


def simplify(line: NDArray[np.float64], is_closed: bool, tolerance: float) -> NDArray[np.float64]:
    """Fewest of the vertices that stay within `tolerance` of the line (Douglas and Peucker)."""
    return cv2.approxPolyDP(line.astype(np.float32), tolerance, is_closed)[:, 0].astype(np.float64)


def _continued(line: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """The line whose first vertex lies on the border if it was near; near it a skeleton bends towards a corner of the
    cut-off stroke, so its first cells are replaced.
    """
    low, high = np.full(2, -0.5), np.array([shape[1], shape[0]]) - 0.5
    if len(line) < _HOOK + 3 or min((line[0] - low).min(), (high - line[0]).min()) > _NEAR_BORDER:
        return line
    kept = line[_HOOK:]
    heading = kept[0] - kept[min(_HEADING_OVER, len(kept) - 1)]
    length = np.linalg.norm(heading)
    if length < 1e-9:
        return line
    heading = heading / length
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(heading > 0, (high - kept[0]) / heading, (low - kept[0]) / heading)
    distance = float(np.where(heading == 0, np.inf, steps).min())
    return np.concatenate([kept[:1] + heading * distance, kept]) if 0 < distance <= _BORDER_REACH else line
