# SPDX-License-Identifier: Apache-2.0
"""Thinning against a slow reference that follows the paper cell by cell, and what tracing makes of simple shapes."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.vectorising.thinning import thin
from mapkd_core.vectorising.tracing import trace


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.8))
def test_look_up_tables_agree_with_the_paper_cell_by_cell(seed: int, share: float) -> None:
    mask = (np.random.default_rng(seed).random((14, 17)) < share).astype(np.uint8)
    mask = cv2.dilate(mask, np.ones((2, 2), np.uint8))
    assert np.array_equal(thin(mask), _thin_slowly(mask))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_number_of_pieces(seed: int) -> None:
    mask = (np.random.default_rng(seed).random((20, 30)) < 0.5).astype(np.uint8)
    assert cv2.connectedComponents(mask, connectivity=8)[0] == cv2.connectedComponents(thin(mask), connectivity=8)[0]


def test_a_plus_gives_four_branches_that_meet() -> None:
    mask = np.zeros((41, 41), np.uint8)
    mask[18:23, 3:38] = mask[3:38, 18:23] = 1
    branches = [b for b in trace(thin(mask)) if len(b.cells) > 8]
    assert len(branches) == 4 and len({max(b.junctions) for b in branches}) == 1
    assert all(sorted(b.junctions)[0] == 0 for b in branches)


def test_a_ring_is_one_closed_branch_in_order() -> None:
    mask = np.zeros((40, 60), np.uint8)
    cv2.ellipse(mask, (30, 20), (22, 12), 0, 0, 360, 1, 3)
    (ring,) = trace(thin(mask))
    steps = np.abs(np.diff(np.concatenate([ring.cells, ring.cells[:1]]), axis=0)).max(1)
    assert ring.is_closed and steps.max() == 1 and len(ring.cells) > 80


def _thin_slowly(mask: np.ndarray) -> np.ndarray:
    image, changed = mask.copy(), True
    while changed:
        changed = False
        for sub_iteration in (0, 1):
            doomed = [
                (r, c)
                for r in range(image.shape[0])
                for c in range(image.shape[1])
                if image[r, c] and _deletable(_around(image, r, c), sub_iteration)
            ]
            for cell in doomed:
                image[cell] = 0
            changed |= bool(doomed)
    return image


def _around(image: np.ndarray, row: int, column: int) -> list[bool]:
    """p2 .. p9, clockwise from the cell above."""
    steps = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    padded = np.pad(image, 1)
    return [bool(padded[1 + row + r, 1 + column + c]) for r, c in steps]


def _deletable(around: list[bool], sub_iteration: int) -> bool:
    p2, p3, p4, p5, p6, p7, p8, p9 = around
    connected = (not p2 and (p3 or p4)) + (not p4 and (p5 or p6)) + (not p6 and (p7 or p8)) + (not p8 and (p9 or p2))
    first = (p9 or p2) + (p3 or p4) + (p5 or p6) + (p7 or p8)
    second = (p2 or p3) + (p4 or p5) + (p6 or p7) + (p8 or p9)
    side = ((p2 or p3 or not p5) and p4) if sub_iteration == 0 else ((p6 or p7 or not p9) and p8)
    return connected == 1 and 2 <= min(first, second) <= 3 and not side
