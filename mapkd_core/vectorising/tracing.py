# SPDX-License-Identifier: Apache-2.0
"""Skeleton -> branches: the runs of cells between ends and junctions, in order."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.vectorising.thinning import branch_table, count_table, neighbours

_SQUARE_3 = np.ones((3, 3), np.uint8)
_SQUARE_2 = np.ones((2, 2), np.uint8)
_STUB = 4  # cells; a shorter branch cannot come back to the junction where it started


@dataclass(frozen=True)
class Branch:
    """cells: N x 2 column row, neighbours in a row. junctions: the junction at its start and end, 0 for a free end."""

    cells: NDArray[np.int64]
    junctions: tuple[int, int] = (0, 0)
    is_closed: bool = False


def trace(skeleton: NDArray[np.uint8]) -> list[Branch]:
    """0/1 uint8 [Y, X], one cell wide -> its branches. Cells within one of a junction belong to none of them."""
    zone, nearby = _junctions(skeleton)
    rest = skeleton & (zone == 0)
    ends = rest & (cv2.LUT(neighbours(rest), count_table()) <= 1)
    # One border cell around, so that a walk needs no check of the edges.
    padded = cv2.copyMakeBorder(rest, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    width = padded.shape[1]
    alive = bytearray(padded.tobytes())
    branches = []
    for start in _flat_cells(ends, width):
        if alive[start]:
            cells = _unflatten(_walk(alive, start, width), width)
            branches.append(Branch(cells, _junctions_of(cells, nearby)))
    for start in _flat_cells(rest, width):
        if alive[start]:
            branches.append(_ring(_unflatten(_walk(alive, start, width), width)))
    return branches


def _junctions(skeleton: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """The cells of each junction, labelled from 1, and the same grown by one cell: what a branch end looks up."""
    forks = skeleton & (cv2.LUT(neighbours(skeleton), branch_table()) >= 3)
    _, zone = cv2.connectedComponents(cv2.dilate(forks | _blocks(skeleton), _SQUARE_3), connectivity=8)
    return zone, cv2.dilate(zone.astype(np.uint16), _SQUARE_3)


def _blocks(skeleton: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Solid squares of four cells. OpenCV's opening would move them by a cell, and finds them along the border."""
    corners = cv2.erode(skeleton, _SQUARE_2, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.dilate(corners, _SQUARE_2, anchor=(1, 1))


def _walk(alive: bytearray, start: int, width: int) -> list[int]:
    """Follow living neighbours from `start`, side neighbours before diagonal ones, and take them out of `alive`."""
    steps = (1, -1, width, -width, width + 1, width - 1, -width + 1, -width - 1)
    path = [start]
    alive[start] = 0
    while True:
        here = path[-1]
        for step in steps:
            if alive[here + step]:
                alive[here + step] = 0
                path.append(here + step)
                break
        else:
            return path


def _ring(cells: NDArray[np.int64]) -> Branch:
    return Branch(cells, is_closed=bool(len(cells) > 2 and np.abs(cells[0] - cells[-1]).max() <= 1))


def _flat_cells(mask: NDArray[np.uint8], padded_width: int) -> list[int]:
    rows, columns = np.divmod(np.flatnonzero(mask.view(bool)), mask.shape[1])  # far quicker than of bytes
    found: list[int] = ((rows + 1) * padded_width + columns + 1).tolist()
    return found


def _unflatten(path: list[int], padded_width: int) -> NDArray[np.int64]:
    rows, columns = np.divmod(np.array(path), padded_width)
    return np.stack([columns - 1, rows - 1], 1)


def _junctions_of(cells: NDArray[np.int64], nearby: NDArray[np.uint16]) -> tuple[int, int]:
    start, end = (int(nearby[row, column]) for column, row in (cells[0], cells[-1]))
    is_stub = start == end and len(cells) < _STUB  # both its ends are next to the junction that it sticks out of
    return (start, 0) if is_stub else (start, end)
