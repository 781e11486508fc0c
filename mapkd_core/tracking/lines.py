# SPDX-License-Identifier: Apache-2.0
"""Lines of one class: each point of a found line moves the vertex of a track that it lies beside.

There is no assignment of whole lines: a network cuts the same kerb elsewhere in every frame. Points of a found line
look for the nearest vertex of any track, at most `gate_m` across and parallel; their mean offset along the normal is a
measurement of that vertex (a Kalman filter of one dimension each). What is beside no track makes a track grow at its
end, joins two tracks, or becomes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.tracking import growth
from mapkd_core.tracking.flat import Flat, flat_of, vote
from mapkd_core.tracking.options import FusionOptions
from mapkd_core.tracking.telling import Told, told
from mapkd_core.tracking.tidying import MIN_VERTICES, tidied
from mapkd_core.tracking.track import SPACING_M, Track, fresh, sampled
from mapkd_core.tracking.view import View
from mapkd_core.types import MapElement

_STEP_M = SPACING_M / 2  # of the points of a found line: every vertex beside it gets one
_TIDY_EVERY = 3  # frames


class LineLayer:
    """Tracks of one class of lines. number: gives the next free number."""

    def __init__(self, options: FusionOptions, number: Callable[[], int]) -> None:
        self._options, self._number = options, number
        self._frames = 0
        self.tracks: list[Track] = []
        self.told: list[Told] = []

    def update(self, elements: Sequence[MapElement], view: View) -> list[int]:
        """One frame; the number of the track that each element belongs to, 0 where it is too short for any."""
        lines = [sampled(view.to_odom(e.vertices_m), e.is_closed, _STEP_M) for e in elements]
        confidence = [e.confidence for e in elements]
        numbers = [0] * len(lines)
        beside = [np.full(len(line), -1, np.int64) for line in lines]
        if self.tracks:
            flat = flat_of(self.tracks)
            beside = self._measure(flat, lines, confidence, view)
            owners = [np.where(b >= 0, flat.owner[b], -1) for b in beside]
            numbers = [self._most(owner) for owner in owners]
            beside = [np.where(b >= 0, b - flat.first[b], -1) for b in beside]
        else:
            owners = [b.copy() for b in beside]
        numbers = self._extend(lines, owners, beside, numbers, confidence, view)
        self._frames += 1
        is_thorough = self._frames % _TIDY_EVERY == 0
        self.tracks = tidied(self.tracks, view, self._options, self._number, is_thorough)
        self._tell(elements, view)
        return numbers

    def _tell(self, elements: Sequence[MapElement], view: View) -> None:
        found = [(view.to_odom(e.vertices_m), e.is_closed, e.confidence) for e in elements]
        self.told = told(self.tracks, flat_of(self.tracks), found, view, self._options) if self.tracks else []

    def _measure(
        self, flat: Flat, lines: Sequence[NDArray[np.float64]], confidence: Sequence[float], view: View
    ) -> list[NDArray[np.int64]]:
        """Move the vertices, count hits and misses; of each point the vertex it lies beside, or -1."""
        v, count = flat.vertices, len(flat.vertices)
        found: NDArray[np.int64] = np.zeros(0, np.int64)
        hits: NDArray[np.int64] = np.zeros(count, np.int64)
        offset, sure = np.zeros(count), np.zeros(count)
        lengths = np.array([len(line) for line in lines], np.int64)
        if len(lines):
            found, across = vote(flat, np.concatenate(lines), lengths, self._options.gate_m)
            at = found[found >= 0]
            hits = np.bincount(at, minlength=count)
            offset = np.bincount(at, across[found >= 0], count) / np.maximum(hits, 1)
            weights = np.repeat(np.asarray(confidence, np.float64), lengths)[found >= 0]
            sure = np.bincount(at, weights, count) / np.maximum(hits, 1)
        hit = hits > 0
        self._filter(flat, hit, offset[hit], view)
        seen = view.sees(v.xy) | hit
        v.misses[seen & ~hit] += 1
        v.share[seen] += self._options.rate * (hit[seen] - v.share[seen])
        self._write_back(flat, hit, seen, sure)
        return list(np.split(found, np.cumsum(lengths)[:-1])) if len(lines) else []

    def _filter(self, flat: Flat, hit: NDArray[np.bool_], offset: NDArray[np.float64], view: View) -> None:
        """Kalman's update of the vertices that were found: offset, metres to the left."""
        v = flat.vertices
        noise = view.variance(v.xy[hit])
        gain = v.variance[hit] / (v.variance[hit] + noise)
        left = np.stack([-flat.along[hit, 1], flat.along[hit, 0]], 1)
        v.xy[hit] += (gain * offset)[:, None] * left
        v.z[hit] += gain * (view.height(v.xy[hit]) - v.z[hit])
        v.variance[hit] = np.maximum((1 - gain) * v.variance[hit], self._options.min_sigma_m**2)
        v.misses[hit], v.hits[hit] = 0, v.hits[hit] + 1

    def _write_back(
        self, flat: Flat, hit: NDArray[np.bool_], seen: NDArray[np.bool_], sure: NDArray[np.float64]
    ) -> None:
        size = len(self.tracks)
        found, looked = np.bincount(flat.owner[hit], minlength=size), np.bincount(flat.owner[seen], minlength=size)
        confidence = np.bincount(flat.owner[hit], sure[hit], size) / np.maximum(found, 1)
        start = np.searchsorted(flat.owner, np.arange(size + 1))
        for i, track in enumerate(self.tracks):
            track.vertices = flat.vertices.take(slice(int(start[i]), int(start[i + 1])))
            if looked[i]:
                track.note(found[i] / looked[i], float(confidence[i]), self._options.memory)

    def _most(self, owner: NDArray[np.int64]) -> int:
        voted = owner[owner >= 0]
        return self.tracks[int(np.bincount(voted).argmax())].number if len(voted) else 0

    def _extend(
        self,
        lines: Sequence[NDArray[np.float64]],
        owners: Sequence[NDArray[np.int64]],
        beside: Sequence[NDArray[np.int64]],
        numbers: list[int],
        confidence: Sequence[float],
        view: View,
    ) -> list[int]:
        """Grow, join and begin tracks."""
        sizes = [len(track.vertices) for track in self.tracks]
        plan = growth.Plan()
        for i, (line, owner, vertex) in enumerate(zip(lines, owners, beside, strict=True)):
            for piece in growth.study(line, owner, vertex, sizes, plan):
                number = self._begin(piece, confidence[i], view)
                numbers[i] = numbers[i] or number
        make = lambda xy: fresh(xy, view.height(xy), view.variance(xy))  # noqa: E731
        renamed = growth.carry_out(plan, self.tracks, make)
        self.tracks = [track for track in self.tracks if len(track.vertices)]
        return [renamed.get(number, number) for number in numbers]

    def _begin(self, line: NDArray[np.float64], confidence: float, view: View) -> int:
        xy = line if len(line) < 3 else sampled(line, False, SPACING_M)
        if len(xy) < MIN_VERTICES:
            return 0
        vertices = fresh(xy, view.height(xy), view.variance(xy))
        self.tracks.append(Track(self._number(), vertices, confidence))
        return self.tracks[-1].number
