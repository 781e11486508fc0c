# SPDX-License-Identifier: Apache-2.0
"""Coloured quads that bodies are built of, in the box frame: x forward, y left, z up from the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Quads = tuple[NDArray[np.float64], NDArray[np.float64]]  # Q x 4 x 3 corners in the box frame (z from 0), Q x 3 RGB

RIGHT, FRONT, LEFT, BACK, TOP = range(5)
GLASS = np.array([40.0, 48.0, 56.0])  # RGB of large windows
_FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]])


def prism(
    low: tuple[float, float], high: tuple[float, float], z0: float, z1: float, colour: object, shift: float = 0.0
) -> Quads:
    """Sides and top of a box whose lower and upper rectangles (length, width) may differ."""
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    bottom = np.column_stack([signs * low, np.full(4, z0)])
    top = np.column_stack([signs * high, np.full(4, z1)])
    corners = np.concatenate([bottom, top]) + np.array([shift, 0.0, 0.0])
    return corners[_FACES], np.tile(np.asarray(colour, float), (5, 1))


def only(quads: Quads, *faces: int) -> Quads:
    """Some faces of a prism."""
    return quads[0][list(faces)], quads[1][list(faces)]


def inward(quads: Quads, dim: float = 0.6) -> Quads:
    """The same faces seen from inside, darker."""
    return quads[0][:, ::-1], quads[1] * dim


def side(x0: float, x1: float, z0: float, z1: float, y: float, which: int) -> NDArray[np.float64]:
    """4 x 3: a rectangle that faces left (which = 1) or right (-1)."""
    quad = np.array([[x0, y, z0], [x1, y, z0], [x1, y, z1], [x0, y, z1]])
    return quad if which < 0 else quad[::-1]


def end(y0: float, y1: float, z0: float, z1: float, x: float, which: int) -> NDArray[np.float64]:
    """4 x 3: a rectangle that faces ahead (which = 1) or back (-1)."""
    quad = np.array([[x, y0, z0], [x, y1, z0], [x, y1, z1], [x, y0, z1]])
    return quad if which > 0 else quad[::-1]


def coloured(faces: list[NDArray[np.float64]], colour: object) -> Quads:
    """Faces of one colour."""
    return np.array(faces).reshape(-1, 4, 3), np.tile(np.asarray(colour, float), (len(faces), 1))


def joined(parts: list[Quads]) -> Quads:
    return np.concatenate([p[0] for p in parts]), np.concatenate([np.asarray(p[1], float) for p in parts])
