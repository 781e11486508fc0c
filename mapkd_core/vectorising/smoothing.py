# SPDX-License-Identifier: Apache-2.0
"""Stair-stepped runs of cells -> smooth lines with few vertices that reach the border of the grid."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW = 5  # cells of the moving average; a corner is rounded by about one cell
_BORDER_REACH = 6.0  # cells from the border within which a line is taken to leave the grid
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
    head, tail = _continued(line, shape), _continued(line[::-1], shape)
    return np.concatenate([head, line, tail])


def simplify(line: NDArray[np.float64], is_closed: bool, tolerance: float) -> NDArray[np.float64]:
    """Fewest of the vertices that stay within `tolerance` of the line (Douglas and Peucker)."""
    return cv2.approxPolyDP(line.astype(np.float32), tolerance, is_closed)[:, 0].astype(np.float64)


def _continued(line: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """0 or 1 vertices where the line, read away from its first vertex, meets the border."""
    heading = line[0] - line[min(_HEADING_OVER, len(line) - 1)]
    length = np.linalg.norm(heading)
    if length < 1e-9:
        return line[:0]
    heading = heading / length
    low, high = np.full(2, -0.5), np.array([shape[1], shape[0]]) - 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        to_border = np.where(
            heading > 0, (high - line[0]) / heading, np.where(heading < 0, (low - line[0]) / heading, np.inf)
        )
    distance = float(to_border.min())
    return line[:1] + heading * distance if 0 < distance <= _BORDER_REACH else line[:0]
