# SPDX-License-Identifier: Apache-2.0
"""Which lines are told after a frame: those that it found, moved onto their tracks, and what tracks have beside them.

Where a line ends and the next begins is a convention that the network has learned and tracks have not: joined tracks
run on through junctions. So a frame's own lines keep their extent, and take from the tracks where they lie. A line that
ends where the view does goes on as its track does; of a track that this frame missed, what is mostly found is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.tracking.flat import Flat, vote
from mapkd_core.tracking.options import FusionOptions
from mapkd_core.tracking.track import SPACING_M, Track, Vertices, joined, runs, sampled
from mapkd_core.tracking.view import View

_MIN_REST = 6  # vertices of a track that this frame did not find


class Told(NamedTuple):
    """A line in the odometry frame. number: of its track."""

    number: int
    vertices: Vertices
    confidence: float
    is_closed: bool = False


def told(
    tracks: Sequence[Track],
    flat: Flat,
    lines: Sequence[tuple[NDArray[np.float64], bool, float]],
    view: View,
    options: FusionOptions,
) -> list[Told]:
    """lines: of this frame, V x 2 in the odometry frame, whether closed, confidence. flat: of `tracks`."""
    covered, result = np.zeros(len(flat.vertices), bool), []
    sure = (flat.vertices.hits >= options.min_hits) & (flat.vertices.share > options.min_share)
    goes_on = sure & ~view.sees(flat.vertices.xy)
    for xy, is_closed, confidence in lines:
        points = sampled(xy, is_closed, SPACING_M)
        found, across = vote(flat, points, np.array([len(points)]), options.gate_m)
        at = found[found >= 0]
        if len(at) < 2 or (flat.vertices.hits[at] >= options.min_hits).mean() < 0.5:
            continue
        owner = int(np.bincount(flat.owner[at]).argmax())
        mine = at[flat.owner[at] == owner]
        covered[mine.min() : mine.max() + 1] = True
        if mine[0] > mine[-1]:  # every frame tells it in the direction of its track
            points, found, across = points[::-1], found[::-1], across[::-1]
        line = _moved(flat, points, found, across, view)
        line = line.take(slice(0, -1)) if is_closed else _continued(flat, line, found, goes_on, covered)
        steady = 0.5 + 0.5 * float(flat.vertices.share[at].mean())
        result.append(Told(tracks[owner].number, line, confidence * steady, is_closed))
    return [*result, *_missed(tracks, flat, sure & ~covered)]


def _moved(
    flat: Flat, points: NDArray[np.float64], found: NDArray[np.int64], across: NDArray[np.float64], view: View
) -> Vertices:
    """The line's points, those beside a track moved onto it."""
    is_beside, vertex = found >= 0, np.maximum(found, 0)
    line = flat.vertices.take(vertex)
    along = flat.along[vertex]
    left = np.stack([-along[:, 1], along[:, 0]], 1)
    line.xy = np.where(is_beside[:, None], points - across[:, None] * left, points)
    line.z = np.where(is_beside, line.z, view.height(points))
    line.variance = np.where(is_beside, line.variance, view.variance(points))
    return line


def _continued(
    flat: Flat, line: Vertices, found: NDArray[np.int64], goes_on: NDArray[np.bool_], covered: NDArray[np.bool_]
) -> Vertices:
    """With what its tracks have beyond its ends where nobody looks."""
    for at_end in (False, True):
        ordered = found[::-1] if at_end else found
        end = int(ordered[0])
        inward = ordered[(ordered >= 0) & (ordered != end)]
        if end < 0 or not len(inward):
            continue
        step = -1 if inward[0] > end else 1
        stop = int(flat.first[end]) - 1 if step < 0 else int(flat.last[end]) + 1
        more = []
        for vertex in range(end + step, stop, step):
            if not goes_on[vertex] or covered[vertex]:
                break
            more.append(vertex)
        if more:
            covered[more] = True
            rest = flat.vertices.take(np.array(more if at_end else more[::-1]))
            line = joined([line, rest] if at_end else [rest, line])
    return line


def _missed(tracks: Sequence[Track], flat: Flat, left: NDArray[np.bool_]) -> Iterator[Told]:
    """left: vertices that are sure and not told yet."""
    start = np.searchsorted(flat.owner, np.arange(len(tracks) + 1))
    for i, track in enumerate(tracks):
        own = slice(int(start[i]), int(start[i + 1]))
        for part in runs(left[own]):
            if part.stop - part.start < _MIN_REST:
                break
            piece = track.vertices.take(part)
            is_whole = part.stop - part.start == len(track.vertices) > 8
            gap_m = float(np.hypot(*(piece.xy[0] - piece.xy[-1])))
            is_closed = is_whole and gap_m < 1.5 * SPACING_M
            if is_closed and gap_m < 0.5 * SPACING_M:
                piece = piece.take(slice(0, -1))
            # What was found once or twice is less sure than what the network says of a single frame.
            confidence = track.confidence * (1 - 0.5**track.frames) * float(piece.share.mean())
            yield Told(track.number, piece, confidence, is_closed)
