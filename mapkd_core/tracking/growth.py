# SPDX-License-Identifier: Apache-2.0
"""What the points of a found line that lie beside no track mean: a track goes on, two tracks are one, or one begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.tracking.track import SPACING_M, Track, Vertices, joined

_END = 4  # vertices; a found line that leaves a track this near to its end goes on from that end
_MIN_POINTS = 5  # of a found line, half a metre apart, that make a track
_MIN_REST = 12  # the same of a line that lies on a track elsewhere: networks draw the same kerb round other corners
_MIN_GROWTH = 3
_MAX_GAP_M = 6.0  # between two tracks that a found line joins


@dataclass
class Plan:
    """grow: (track, whether at its last vertex) -> points from there on. join: two such ends, and points between."""

    grow: dict[tuple[int, bool], NDArray[np.float64]] = field(default_factory=dict)
    join: list[tuple[tuple[int, bool], tuple[int, bool], NDArray[np.float64]]] = field(default_factory=list)


def study(
    line: NDArray[np.float64],
    owner: NDArray[np.int64],
    vertex: NDArray[np.int64],
    sizes: Sequence[int],
    plan: Plan,
) -> list[NDArray[np.float64]]:
    """Adds to the plan; returns the pieces of `line` that begin tracks.

    owner, vertex: of each point the track that it lies beside and which of its vertices, -1 for none.
    """
    begin = []
    if owner[0] >= 0 and (owner == owner[0]).all():
        return []
    edges = np.concatenate([[0], np.flatnonzero(owner[1:] != owner[:-1]) + 1, [len(owner)]])
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        before = _end(owner, vertex, sizes, a - 1)
        if owner[a] >= 0:
            # Two tracks directly after one another.
            if a > 0 and owner[a - 1] >= 0:
                _join(plan, before, _end(owner, vertex, sizes, a), line[a:a])
            continue
        after = _end(owner, vertex, sizes, b)
        if before and after and before[0] != after[0] and (b - a) * SPACING_M / 2 <= _MAX_GAP_M:
            _join(plan, before, after, line[a:b])
        elif before and (not after or (before[0] == after[0] and before[1] != after[1])):
            _grow(plan, before, line[a:b])
        elif after and not before:
            _grow(plan, after, line[a:b][::-1])
        elif b - a >= (_MIN_POINTS if len(edges) == 2 else _MIN_REST):
            begin.append(line[a:b])
    return begin


def carry_out(plan: Plan, tracks: Sequence[Track], make: Callable[[NDArray[np.float64]], Vertices]) -> dict[int, int]:
    """Change the tracks; a joined one is left empty. Returns its number -> that of the track it is part of now."""
    renamed: dict[int, int] = {}
    taken: set[int] = set()
    for (a, at_end), (b, b_at_end), between in plan.join:
        if a in taken or b in taken or a == b:
            continue
        taken |= {a, b}
        first, second = tracks[a].vertices, tracks[b].vertices
        first = first if at_end else first.take(slice(None, None, -1))
        second = second.take(slice(None, None, -1)) if b_at_end else second
        second = _after(first, second)
        parts = [first, *([make(between[1::2])] if len(between) > 1 else []), second]
        older, younger = sorted((tracks[a], tracks[b]), key=lambda track: track.number)
        older.vertices, younger.vertices = joined(parts), younger.vertices.take(slice(0, 0))
        renamed[younger.number] = older.number
    for (index, at_end), points in plan.grow.items():
        if index not in taken:
            _lengthen(tracks[index], at_end, points, make)
    return renamed


def _end(owner: NDArray[np.int64], vertex: NDArray[np.int64], sizes: Sequence[int], at: int) -> tuple[int, bool] | None:
    """The end of a track that the point at index `at` lies beside; None where it lies beside none, or in the middle."""
    if not 0 <= at < len(owner) or owner[at] < 0:
        return None
    track, v = int(owner[at]), int(vertex[at])
    size = sizes[track]
    if min(v, size - 1 - v) >= _END:
        return None
    if size < 2 * _END:  # both ends are near: the one towards which the found line runs
        same = np.flatnonzero(owner == track)
        if at == same[0] or at == same[-1]:
            other = int(vertex[same[-1] if at == same[0] else same[0]])
            return track, v > other
    return track, v >= size - 1 - v


def _join(plan: Plan, one: Any, two: Any, between: NDArray[np.float64]) -> None:
    if one and two and one[0] != two[0]:
        plan.join.append((one, two, between))


def _grow(plan: Plan, end: tuple[int, bool], points: NDArray[np.float64]) -> None:
    """The longest counts; a single vertex waits for the next frames."""
    if len(points) >= _MIN_GROWTH and len(points) > len(plan.grow.get(end, ())):
        plan.grow[end] = points


def _lengthen(
    track: Track, at_end: bool, points: NDArray[np.float64], make: Callable[[NDArray[np.float64]], Vertices]
) -> None:
    line = track.vertices.xy if at_end else track.vertices.xy[::-1]
    ahead = (points - line[-1]) @ (line[-1] - line[-min(3, len(line))]) > 0
    ahead &= ((points - line[-1]) ** 2).sum(1) > (0.75 * SPACING_M) ** 2
    if not ahead.any():
        return
    more = make(points[int(ahead.argmax()) :: 2])
    track.vertices = joined([track.vertices, more] if at_end else [more.take(slice(None, None, -1)), track.vertices])


def _after(first: Vertices, second: Vertices) -> Vertices:
    """`second` without its beginning that lies beside the end of `first`; all of it where nothing would be left."""
    ahead = first.xy[-1] - first.xy[-min(3, len(first))]
    beyond = (second.xy - first.xy[-1]) @ ahead > 0.5 * SPACING_M * np.hypot(*ahead)
    return second.take(slice(int(beyond.argmax()), None)) if beyond.any() else second.take(slice(0, 0))
