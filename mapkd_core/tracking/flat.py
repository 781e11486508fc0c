# SPDX-License-Identifier: Apache-2.0
"""All vertices of all tracks in a row, and which of them each point of a found line lies beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.tracking.track import SPACING_M, Track, Vertices, joined, tangents

_PARALLEL = 0.8  # cosine


class Flat(NamedTuple):
    """owner, first, last: of each vertex its track and the ends of that. along: V x 2, the direction of its line."""

    vertices: Vertices
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    along: NDArray[np.float64]


def flat_of(tracks: Sequence[Track]) -> Flat:
    """Of at least one track."""
    vertices = joined([track.vertices for track in tracks])
    count = np.array([len(track.vertices) for track in tracks])
    owner, start = np.repeat(np.arange(len(count)), count), np.cumsum(count) - count
    first = start[owner]
    last = first + count[owner] - 1
    return Flat(vertices, owner, first, last, tangents(vertices.xy, first, last))


def vote(
    flat: Flat, points: NDArray[np.float64], lengths: NDArray[np.int64], gate_m: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """N points -> the vertex each lies beside or -1, and how far to the left of the vertex's line, metres.

    lengths: of the lines that `points` holds in a row. gate_m: farther across is another line.
    """
    last = np.repeat(np.cumsum(lengths) - 1, lengths)
    direction = tangents(points, np.repeat(np.cumsum(lengths) - lengths, lengths), last)
    distance, nearest = cKDTree(flat.vertices.xy).query(points, distance_upper_bound=np.hypot(gate_m, SPACING_M))
    found = np.isfinite(distance)
    nearest = np.where(found, nearest, 0)
    delta, along = points - flat.vertices.xy[nearest], flat.along[nearest]
    across = along[:, 0] * delta[:, 1] - along[:, 1] * delta[:, 0]
    found &= np.abs((direction * along).sum(1)) > _PARALLEL
    found &= (np.abs(across) <= gate_m) & (np.abs((delta * along).sum(1)) <= 0.75 * SPACING_M)
    return np.where(found, nearest, -1), across
