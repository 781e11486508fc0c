# SPDX-License-Identifier: Apache-2.0
"""Pieces and strips of polylines on the ground, metres in any planar frame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]


def arc_lengths(line: Line) -> NDArray[np.float64]:
    """Distance of every vertex from the first one along the line."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def at(line: Line, distances: NDArray[np.float64]) -> Line:
    """Points at the given arc lengths."""
    s = arc_lengths(line)
    return np.stack([np.interp(distances, s, line[:, 0]), np.interp(distances, s, line[:, 1])], -1)


def heading_at(line: Line, distances: NDArray[np.float64], reach: float = 0.5) -> NDArray[np.float64]:
    """Direction of the line in radians at the given arc lengths."""
    ahead = at(line, np.asarray(distances) + reach) - at(line, np.asarray(distances) - reach)
    return np.arctan2(ahead[..., 1], ahead[..., 0])


def pieces(line: Line, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> Iterator[Line]:
    """The parts of the line between the arc lengths starts[i] and ends[i], bends kept."""
    s = arc_lengths(line)
    for a, b in zip(starts, ends, strict=True):
        inner = s[(s > a + 1e-3) & (s < b - 1e-3)]
        distances = np.concatenate([[a], inner, [b]])
        yield np.stack([np.interp(distances, s, line[:, 0]), np.interp(distances, s, line[:, 1])], -1)


def resampled(line: Line, step: float) -> Line:
    """The line with its bends kept and no segment longer than `step` metres."""
    out = [line[:1]]
    for a, b in pairwise(line):
        n = max(1, int(np.ceil(np.hypot(*(b - a)) / step)))
        out.append(a + (np.arange(1, n + 1) / n)[:, None] * (b - a))
    return np.concatenate(out)


def offset(line: Line, distance: float) -> Line:
    """The line moved to its left by `distance` metres, vertex by vertex (no cure for bends tighter than that)."""
    tangent = np.gradient(line, axis=0) if len(line) > 1 else np.zeros_like(line)
    length = np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    return line + distance * np.stack([-tangent[:, 1], tangent[:, 0]], -1) / length


def strip(line: Line, width: float, shift: float = 0.0) -> Line:
    """Outline of a strip `width` metres wide whose middle runs `shift` metres left of the line."""
    return np.concatenate([offset(line, shift + width / 2), offset(line, shift - width / 2)[::-1]])
