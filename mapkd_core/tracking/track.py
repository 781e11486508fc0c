# SPDX-License-Identifier: Apache-2.0
"""A track: one physical line or area in the odometry frame, as vertices that each know how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import MapElement

FIRST_SHARE = 0.5  # of what was found once
SPACING_M = 1.0  # of a track's vertices; the sagitta of a 10 m bend is then 1 cm


@dataclass(frozen=True)
class TrackedElement(MapElement):
    """An element with the number of its track, the same in successive maps; numbers start at 1.

    stddev_m: V, standard deviation of each vertex across the element. vertices_m: V x 3 where heights are known.
    """

    track: int = 0
    stddev_m: NDArray[np.floating] | None = None


@dataclass
class Vertices:
    """V vertices. xy: V x 2 metres in the odometry frame; z: V, height of the ground there.

    variance: V, square metres across the line. misses: how often in a row each was looked at and not found.
    hits: how often it was found. share: running mean of whether it was, when looked at.
    """

    xy: NDArray[np.float64]
    z: NDArray[np.float64]
    variance: NDArray[np.float64]
    misses: NDArray[np.int64]
    hits: NDArray[np.int64]
    share: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, index: slice | NDArray[np.generic]) -> Vertices:
        """Some of them, in the order of `index`."""
        return Vertices(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass
class Track:
    """number: from 1, never given twice. confidence: 0..1, running mean over `frames`, a miss counts as 0."""

    number: int
    vertices: Vertices
    confidence: float
    frames: int = 1

    def note(self, share_found: float, confidence: float, memory: int) -> None:
        """One more frame: the share of the vertices in view that was found, and with what confidence."""
        self.frames = min(self.frames + 1, memory)
        self.confidence += (share_found * confidence - self.confidence) / self.frames


def joined(parts: Sequence[Vertices]) -> Vertices:
    """One after the other."""
    return Vertices(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Vertices)))


def fresh(xy: NDArray[np.float64], z: NDArray[np.float64], variance: NDArray[np.float64]) -> Vertices:
    """Vertices that were found once."""
    count = len(xy)
    misses, hits = np.zeros(count, np.int64), np.ones(count, np.int64)
    return Vertices(xy, z, variance, misses, hits, np.full(count, FIRST_SHARE))


def sampled(xy: NDArray[np.floating], is_closed: bool, step_m: float) -> NDArray[np.float64]:
    """V x 2 -> N x 2 about `step_m` apart, ends included; a closed one comes back to its first point."""
    line = np.asarray(xy, np.float64)
    if is_closed:
        line = np.concatenate([line, line[:1]])
    step = line[1:] - line[:-1]
    along = np.zeros(len(line))
    np.hypot(step[:, 0], step[:, 1]).cumsum(out=along[1:])
    count = max(round(float(along[-1]) / step_m), 1)
    at = np.arange(count + 1) * (along[-1] / count)
    points = np.empty((count + 1, 2))
    points[:, 0], points[:, 1] = np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])
    return points


def tangents(xy: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    """N x 2 unit vectors along the lines that xy holds in a row; first, last: N, of each point its line's ends."""
    index = np.arange(len(xy))
    ahead = xy[np.minimum(index + 1, last)] - xy[np.maximum(index - 1, first)]
    return ahead / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]


def runs(keep: NDArray[np.bool_]) -> list[slice]:
    """Where `keep` holds without a break, the longest first; of two alike the earlier."""
    padded = np.zeros(len(keep) + 2, np.int8)
    padded[1:-1] = keep
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    found = [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    return sorted(found, key=lambda part: part.start - part.stop)
