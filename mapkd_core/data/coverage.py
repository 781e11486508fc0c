# SPDX-License-Identifier: Apache-2.0
"""Which cells of the grid a line of some thickness covers: exact scan conversion of all segments at once.

Column by column, because a segment widened by a radius is convex: it meets a column in one interval of rows, which has
a closed form. Intervals are half-open, so that a line along an axis is equally wide wherever it lies in its cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement


def cover(
    elements: Sequence[MapElement], order: Sequence[int], grid: BevGrid, thickness: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Flat cell index, element and line angle in [0, pi) of every covered cell, in painting order (with repeats)."""
    start, end, owner = _segments(elements, order, grid)
    delta = end - start
    angle = np.arctan2(delta[:, 1], delta[:, 0]) % np.pi
    column, segment = _columns(start, end, thickness / 2, grid.shape[1])
    low, high = _row_interval(start[segment], end[segment], column, thickness / 2)
    first = np.maximum(np.ceil(low), 0).astype(np.int64)
    count = np.maximum(np.minimum(np.ceil(high), grid.shape[0]).astype(np.int64) - first, 0)
    run = np.repeat(np.arange(len(column)), count)
    row = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count)
    return row * grid.shape[1] + column[run], owner[segment[run]], angle[segment[run]]


def _segments(
    elements: Sequence[MapElement], order: Sequence[int], grid: BevGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Start and end of every segment in fractional cells (S, 2), and the element it belongs to (S,)."""
    starts, ends, owners = [np.zeros((0, 2))], [np.zeros((0, 2))], [np.zeros(0, np.int64)]
    for index in order:
        vertices = grid.to_cells(elements[index].vertices_m)
        if vertices.ndim != 2 or vertices.shape[1] != 2 or not np.isfinite(vertices).all():
            raise ValueError(
                f"element {index}: vertices must be finite V x 2 metres, not {elements[index].vertices_m!r}"
            )
        vertices = np.round(vertices, 6)  # so that the last bits of a division do not move a line by a cell
        following = np.roll(vertices, -1, axis=0) if elements[index].is_closed else vertices[1:]
        starts.append(vertices[: len(following)])
        ends.append(following)
        owners.append(np.full(len(following), index))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(owners)


def _columns(
    start: NDArray[np.float64], end: NDArray[np.float64], radius: float, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every (column, segment) where the column may meet the segment widened by `radius`."""
    first = np.clip(np.ceil(np.minimum(start[:, 0], end[:, 0]) - radius), 0, width).astype(np.int64)
    stop = np.clip(np.ceil(np.maximum(start[:, 0], end[:, 0]) + radius), 0, width).astype(np.int64)
    count = np.maximum(stop - first, 0)
    segment = np.repeat(np.arange(len(start)), count)
    return first[segment] + np.arange(len(segment)) - np.repeat(np.cumsum(count) - count, count), segment


def _row_interval(
    start: NDArray[np.float64], end: NDArray[np.float64], column: NDArray[np.int64], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows [low, high] where column meets segment widened by `radius`: the hull of two discs and a band."""
    low, high = np.full(len(column), np.inf), np.full(len(column), -np.inf)
    for centre in (start, end):
        rest = radius**2 - (column - centre[:, 0]) ** 2
        half = np.sqrt(np.maximum(rest, 0))
        low = np.where(rest >= 0, np.minimum(low, centre[:, 1] - half), low)
        high = np.where(rest >= 0, np.maximum(high, centre[:, 1] + half), high)
    band_low, band_high = _band(start, end, column, radius)
    holds = band_low <= band_high
    low, high = np.where(holds, np.minimum(low, band_low), low), np.where(holds, np.maximum(high, band_high), high)
    empty = low > high
    return np.where(empty, 0, low), np.where(empty, 0, high)


def _band(
    start: NDArray[np.float64], end: NDArray[np.float64], column: NDArray[np.int64], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of `column` inside the rectangle along the segment (without its ends): two slabs; empty where low > high."""
    delta = end - start
    length = np.maximum(np.hypot(delta[:, 0], delta[:, 1]), 1e-12)
    ux, uy = delta[:, 0] / length, delta[:, 1] / length
    ux = np.where((ux == 0) & (uy == 0), 1.0, ux)  # a point: a band of no length
    dx = column - start[:, 0]
    upright, level = np.abs(ux) < 1e-9, np.abs(uy) < 1e-9
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.sort(np.stack([-dx * ux / uy, (length - dx * ux) / uy]), axis=0)
        across = np.sort(np.stack([(-radius + dx * uy) / ux, (radius + dx * uy) / ux]), axis=0)
    # A slab parallel to the column holds all of it or nothing.
    everything, nothing = np.array([[-np.inf], [np.inf]]), np.array([[np.inf], [-np.inf]])
    along = np.where(level, np.where((dx * ux >= 0) & (dx * ux <= length), everything, nothing), along)
    across = np.where(upright, np.where(np.abs(dx) <= radius, everything, nothing), across)
    return start[:, 1] + np.maximum(along[0], across[0]), start[:, 1] + np.minimum(along[1], across[1])
