# SPDX-License-Identifier: Apache-2.0
"""What tracks of lines lose after a frame: what is gone, far away, there twice, or too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.tracking.flat import flat_of
from mapkd_core.tracking.options import FusionOptions
from mapkd_core.tracking.track import Track, runs
from mapkd_core.tracking.view import View

MIN_VERTICES = 3  # of a track
_SAME = 0.8  # of the gate; two tracks this near are one line twice
_MIN_REST = 6  # vertices; a shorter rest of a track that is cut in two is dropped
_HOLE = 3  # vertices; a shorter hole in a line is none


def tidied(
    tracks: Sequence[Track], view: View, options: FusionOptions, number: Callable[[], int], is_thorough: bool
) -> list[Track]:
    """What stays, by number. number: gives the next free one. is_thorough: look for doubles, too."""
    if is_thorough and len(tracks) > 1:
        _mark_doubles(tracks, options)
    kept = []
    for track in tracks:
        stale = track.vertices.misses >= options.max_misses
        if stale.any():
            for part in runs(stale):
                if part.stop - part.start < _HOLE and part.start > 0 and part.stop < len(stale):
                    stale[part] = False
        stale |= view.distance(track.vertices.xy) > options.radius_m
        kept += _pieces(track, ~stale, number)
    if len(kept) > options.max_tracks:
        kept = sorted(kept, key=lambda t: -int(t.vertices.hits.max()))[: options.max_tracks]
    return sorted(kept, key=lambda track: track.number)


def _pieces(track: Track, keep: NDArray[np.bool_], number: Callable[[], int]) -> list[Track]:
    """What is left of a track: the longest piece keeps the number."""
    if keep.all():
        return [track]
    parts = runs(keep)
    parts = [p for i, p in enumerate(parts) if p.stop - p.start >= (_MIN_REST if i else MIN_VERTICES)]
    return [
        Track(number() if i else track.number, track.vertices.take(part), track.confidence, track.frames)
        for i, part in enumerate(parts)
    ]


def _mark_doubles(tracks: Sequence[Track], options: FusionOptions) -> None:
    """Vertices of a younger track that lie on an older one count as gone."""
    flat = flat_of(tracks)
    distance, other = cKDTree(flat.vertices.xy).query(
        flat.vertices.xy, k=4, distance_upper_bound=_SAME * options.gate_m
    )
    number = np.array([track.number for track in tracks])
    theirs = np.where(np.isfinite(distance), number[flat.owner[np.where(np.isfinite(distance), other, 0)]], 1 << 62)
    double = theirs.min(1) < number[flat.owner]
    flat.vertices.misses[double] = options.max_misses
    start = np.searchsorted(flat.owner, np.arange(len(tracks) + 1))
    for i, track in enumerate(tracks):
        track.vertices = flat.vertices.take(slice(int(start[i]), int(start[i + 1])))
