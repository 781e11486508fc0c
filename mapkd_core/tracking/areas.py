# SPDX-License-Identifier: Apache-2.0
"""Closed areas of one class (crossings): outlines that overlap are one area, whichever way round and wherever begun.

A found outline that ends at the edge of the map is only the part inside: its vertices there are as good as unknown, and
an area that reaches beyond the track's is added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.tracking.options import FusionOptions
from mapkd_core.tracking.telling import Told
from mapkd_core.tracking.track import Track, Vertices, fresh, sampled
from mapkd_core.tracking.view import View
from mapkd_core.types import MapElement

_STEP_M = 0.5
_OVERLAP = 0.3  # of the smaller of two areas
_BEYOND_M2 = 1.0  # an area that reaches this much beyond is more of it
_CUT_VARIANCE = 1.0  # square metres, of an outline that is the map's edge


class AreaLayer:
    """Tracks of one class of areas; their vertices go round, the first is not repeated."""

    def __init__(self, options: FusionOptions, number: Callable[[], int]) -> None:
        self._options, self._number = options, number
        self.tracks: list[Track] = []

    def update(self, elements: Sequence[MapElement], view: View) -> list[int]:
        """One frame; the number of the track that each element belongs to, 0 for one without an area."""
        outlines = [_outline(view.to_odom(e.vertices_m)) for e in elements]
        found = [False] * len(self.tracks)
        shapes = [_polygon(track.vertices.xy) for track in self.tracks]
        numbers = []
        for element, outline in zip(elements, outlines, strict=True):
            if outline is None:
                numbers.append(0)
                continue
            best = _best(outline, shapes)
            if best is None:
                self.tracks.append(Track(self._number(), _found(outline, view), element.confidence))
                numbers.append(self.tracks[-1].number)
                continue
            numbers.append(self.tracks[best].number)
            if not found[best]:  # a second outline of one area in one frame tells nothing new
                found[best] = True
                self._update(self.tracks[best], outline, shapes[best], element.confidence, view)
        for track, is_found in zip(self.tracks, found, strict=False):
            if not is_found:
                self._miss(track, view)
        self._forget(view)
        return numbers

    @property
    def told(self) -> list[Told]:
        """Areas of which most vertices were found often enough."""
        return [
            Told(t.number, t.vertices, t.confidence * (1 - 0.5**t.frames), True)
            for t in self.tracks
            if (t.vertices.hits >= self._options.min_hits).mean() > 0.5
        ]

    def _update(
        self, track: Track, outline: shapely.Polygon, known: shapely.Polygon, confidence: float, view: View
    ) -> None:
        options, v = self._options, track.vertices
        ring = shapely.get_exterior_ring(outline)
        points = shapely.points(v.xy)
        foot = shapely.get_coordinates(shapely.line_interpolate_point(ring, shapely.line_locate_point(ring, points)))
        move = foot - v.xy
        real = ~view.is_cut(foot)
        hit = real & (np.hypot(move[:, 0], move[:, 1]) <= options.gate_m)
        noise = view.variance(v.xy[hit])
        gain = v.variance[hit] / (v.variance[hit] + noise)
        v.xy[hit] += gain[:, None] * move[hit]
        v.z[hit] += gain * (view.height(v.xy[hit]) - v.z[hit])
        v.variance[hit] = np.maximum((1 - gain) * v.variance[hit], options.min_sigma_m**2)
        v.misses[hit], v.hits[hit] = 0, v.hits[hit] + 1
        v.misses[view.sees(v.xy) & ~hit & real] += 1
        if (v.misses >= options.max_misses).mean() > 1 / 3:
            track.vertices = _found(outline, view)  # it has another shape than was thought
        elif shapely.area(shapely.difference(outline, shapely.buffer(known, options.gate_m / 2))) > _BEYOND_M2:
            track.vertices = _grown(v, outline, view)
        track.note(1.0, confidence, options.memory)

    def _miss(self, track: Track, view: View) -> None:
        seen = view.sees(track.vertices.xy)
        track.vertices.misses[seen] += 1
        if seen.any():
            track.note(1.0 - float(seen.mean()), track.confidence, self._options.memory)

    def _forget(self, view: View) -> None:
        options = self._options
        near = [view.distance(t.vertices.xy).min() <= options.radius_m for t in self.tracks]
        gone = [(t.vertices.misses >= options.max_misses).mean() > 0.5 for t in self.tracks]
        kept = [t for t, is_near, is_gone in zip(self.tracks, near, gone, strict=True) if is_near and not is_gone]
        if len(kept) > options.max_tracks:
            kept = sorted(kept, key=lambda t: -int(t.vertices.hits.max()))[: options.max_tracks]
        self.tracks = sorted(kept, key=lambda track: track.number)


def _outline(xy: NDArray[np.float64]) -> shapely.Polygon | None:
    """The largest part of what the vertices go round; None where that is no area."""
    if len(xy) < 3:
        return None
    parts = shapely.get_parts(shapely.make_valid(shapely.Polygon(xy)))
    solid = [part for part in parts if part.geom_type == "Polygon" and part.area > 0]
    return max(solid, key=lambda part: part.area, default=None)


def _polygon(xy: NDArray[np.float64]) -> shapely.Polygon:
    return _outline(xy) or shapely.Polygon()


def _best(outline: shapely.Polygon, shapes: Sequence[shapely.Polygon]) -> int | None:
    """The known area that it overlaps most, by the smaller of the two."""
    if not shapes:
        return None
    shared = shapely.area(shapely.intersection(outline, np.asarray(shapes, object)))
    smaller = np.minimum(outline.area, shapely.area(np.asarray(shapes, object)))
    share = shared / np.maximum(smaller, 1e-9)
    best = int(share.argmax())
    return best if share[best] >= _OVERLAP else None


def _found(outline: shapely.Polygon, view: View) -> Vertices:
    xy = sampled(shapely.get_coordinates(outline.exterior)[:-1], True, _STEP_M)[:-1]
    vertices = fresh(xy, view.height(xy), view.variance(xy))
    vertices.variance[view.is_cut(xy)] = _CUT_VARIANCE
    return vertices


def _grown(known: Vertices, outline: shapely.Polygon, view: View) -> Vertices:
    """The outline of both; what was known of a vertex that stays is kept."""
    both = (
        _outline(shapely.get_coordinates(shapely.union(_polygon(known.xy), outline).exterior)[:-1])
        if (shapely.union(_polygon(known.xy), outline).geom_type == "Polygon")
        else outline
    )
    new = _found(both or outline, view)
    gap = np.hypot(*(new.xy[:, None] - known.xy[None]).transpose(2, 0, 1))  # new known
    nearest = gap.argmin(1)
    stays = gap[np.arange(len(new)), nearest] < _STEP_M / 2
    for field in ("z", "variance", "misses", "hits", "share"):
        getattr(new, field)[stays] = getattr(known, field)[nearest[stays]]
    return new
