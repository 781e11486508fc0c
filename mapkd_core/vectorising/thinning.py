# SPDX-License-Identifier: Apache-2.0
"""Thick masks -> one cell wide, by Guo and Hall's parallel thinning ("Parallel thinning with two-subiteration
algorithms", CACM 1989), as table look-ups over the 8-neighbourhood: OpenCV's own sits in opencv-contrib.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

# Bit of each neighbour, clockwise from the one above: p2 .. p9 of the paper are bits 0 .. 7.
_WEIGHTS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


def thin(mask: NDArray[np.uint8], rounds: int = 64) -> NDArray[np.uint8]:
    """0/1 uint8 [Y, X] -> 0/1 skeleton, 8-connected, same topology. Outside the array is background.

    rounds: at most so many layers are peeled off each side, so that a flooded mask costs bounded time.
    """
    skeleton = mask.copy()
    tables = _deletion_tables()
    for _ in range(rounds):
        before = cv2.countNonZero(skeleton)
        for table in tables:
            skeleton &= cv2.LUT(neighbours(skeleton), table)
        if cv2.countNonZero(skeleton) == before:
            break
    return skeleton


def neighbours(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0/1 [Y, X] -> the eight neighbours of each cell as bits, clockwise from the one above."""
    return cv2.filter2D(mask, cv2.CV_8U, _WEIGHTS, borderType=cv2.BORDER_CONSTANT)


@cache
def count_table() -> NDArray[np.uint8]:
    """Neighbourhood bits -> number of neighbours."""
    return np.array([bin(code).count("1") for code in range(256)], np.uint8)


@cache
def branch_table() -> NDArray[np.uint8]:
    """Neighbourhood bits -> separate runs of neighbours around the cell: 1 end, 2 line, 3 and more junction."""
    bits = _bits()
    return ((bits == 0) & (np.roll(bits, -1, axis=0) == 1)).sum(0).astype(np.uint8)


@cache
def _deletion_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Neighbourhood bits -> 1 keep, 0 delete, for the two sub-iterations."""
    p2, p3, p4, p5, p6, p7, p8, p9 = _bits().astype(bool)
    runs = sum((~a & (b | c)).astype(int) for a, b, c in ((p2, p3, p4), (p4, p5, p6), (p6, p7, p8), (p8, p9, p2)))
    first = sum((a | b).astype(int) for a, b in ((p9, p2), (p3, p4), (p5, p6), (p7, p8)))
    second = sum((a | b).astype(int) for a, b in ((p2, p3), (p4, p5), (p6, p7), (p8, p9)))
    fewest = np.minimum(first, second)
    simple = (runs == 1) & (fewest >= 2) & (fewest <= 3)
    south_east = simple & ~((p2 | p3 | ~p5) & p4)
    north_west = simple & ~((p6 | p7 | ~p9) & p8)
    return (~south_east).astype(np.uint8), (~north_west).astype(np.uint8)


def _bits() -> NDArray[np.uint8]:
    return (np.arange(256)[None] >> np.arange(8)[:, None] & 1).astype(np.uint8)
