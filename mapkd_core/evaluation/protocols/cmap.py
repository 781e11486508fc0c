# SPDX-License-Identifier: Apache-2.0
"""Consistency mAP, MapTracker (arXiv 2403.15951; `tools/tracking/{calculate_cmap,cmap_utils/*}.py`).

Matching by frame as StreamMapNet (200 points). Within a scene, in the order of time, the first hit of a truth says
which predicted track that truth belongs to; a later hit of it by another track becomes a false alarm. Then pooled AP
and the mean over classes and thresholds, as in the protocol `streammapnet`.

`as_released` keeps:

* a class is passed over in frames where it has no truth, so false alarms there cost nothing (MapTracker issue 38);
* tracks are looked up by their number in the frame, the last line that has it counts: of two lines with one number
  the first is judged by the second's match;
* truth is sampled at 20 points before it is sampled at 200; a class without any truth counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.by_class import by_class
from mapkd_core.evaluation.chamfer import resample
from mapkd_core.evaluation.chamfer_ap import THRESHOLDS_M, average_precision, distances, matched_truth
from mapkd_core.evaluation.protocols.base import ScoredFrame, Scores, ScoringProtocol, Settings, average
from mapkd_core.types import MapElement

_POINTS, _TRUTH_POINTS = 200, 20


class ConsistencyScorer:
    """Elements need `track`, frames `scene`; scenes come one after the other, their frames in the order of time."""

    def __init__(self, settings: Settings) -> None:
        self._classes, self._thresholds = settings.classes, settings.thresholds or THRESHOLDS_M
        self._as_released = settings.as_released
        self._truths = dict.fromkeys(self._classes, 0)
        self._scores: dict[str, list[NDArray[np.float64]]] = {name: [] for name in self._classes}
        self._hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in self._classes}
        # Scene, class, threshold, true track -> the predicted track that hit it first.
        self._first: dict[tuple[str, str, float, Any], Any] = {}

    def add(self, frame: ScoredFrame) -> None:
        """Raises ValueError for a frame without scene and for elements without track."""
        if frame.scene is None:
            needs = 'C-mAP needs "scenes": {name: [token, ...]} in the truth'
            raise ValueError(f"frame {frame.token} is in no scene: {needs}")
        for name, detections, targets in by_class(frame.predicted, frame.truth, self._classes):
            self._truths[name] += len(targets)
            if detections and (targets or not self._as_released):
                self._scores[name].append(np.array([e.confidence for e in detections]))
                self._hits[name].append(self._match(frame, name, detections, targets))

    def scores(self) -> Scores:
        by_class = {}
        for name in self._classes:
            hits = np.concatenate(self._hits[name] or [np.zeros((len(self._thresholds), 0), bool)], axis=1)
            scores = np.concatenate(self._scores[name] or [np.zeros(0)])
            by_class[name] = {
                t: average_precision(hits[i], scores, self._truths[name]) for i, t in enumerate(self._thresholds)
            }
        return average(by_class, absent_is_zero=self._as_released)

    def _match(
        self, frame: ScoredFrame, name: str, detections: Sequence[MapElement], targets: Sequence[MapElement]
    ) -> NDArray[np.bool_]:
        """Thresholds x detections: consistent hits."""
        tracks, true_tracks = _tracks(frame, detections, "predicted"), _tracks(frame, targets, "true")
        if self._as_released:
            targets = [_coarse(element) for element in targets]
        distance = distances(detections, targets, max(self._thresholds), _POINTS)
        confidences = np.array([e.confidence for e in detections])
        rows = []
        for t in self._thresholds:
            partner = matched_truth(distance, confidences, t)
            found = [None if g < 0 else true_tracks[g] for g in partner]
            if self._as_released:
                last = dict(zip(tracks, found))
                found = [last[track] for track in tracks]
            keys = [(frame.scene or "", name, t, true_track) for true_track in found]
            rows.append([self._consistent(g >= 0, key, track) for g, key, track in zip(partner, keys, tracks)])
        return np.array(rows, bool)

    def _consistent(self, hit: bool, key: tuple[str, str, float, Any], track: Any) -> bool:
        """Whether it counts as a hit. The released code notes the tracks of misses, too, all under one key."""
        if not hit and not self._as_released:
            return False
        return self._first.setdefault(key, track) == track and hit


def _coarse(element: MapElement) -> MapElement:
    sampled = resample(element.vertices_m, element.is_closed, _TRUTH_POINTS)
    return replace(element, vertices_m=sampled, is_closed=False)


def _tracks(frame: ScoredFrame, elements: Sequence[MapElement], which: str) -> list[Any]:
    tracks = [getattr(element, "track", None) for element in elements]
    if None in tracks:
        what = f"a {which} {elements[0].class_name} without track"
        raise ValueError(f"frame {frame.token} has {what}: C-mAP needs a track at every element, see docs/metrics.md")
    return tracks


CMAP = ScoringProtocol(
    "cmap",
    "consistency AP: a truth must stay with the track that hit it first in its scene (MapTracker)",
    "false alarms in frames without truth of the class are not counted; truth sampled at 20 points first; "
    "lines of one number judged by the last; a class without truth counts as 0",
    THRESHOLDS_M,
    ConsistencyScorer,
)
