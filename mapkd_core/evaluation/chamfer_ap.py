# SPDX-License-Identifier: Apache-2.0
"""Average precision of vectors by Chamfer distance, MapTR's protocol (`map_utils/mean_ap.py`, `tpfp_chamfer.py`).

Both lines are sampled at equal steps of arc length, closed ones round to their start. Distance: mean over both
directions of the mean distance to the nearest sample. Per frame and class the detections are taken by falling score;
each looks at its nearest truth only: within the threshold and not yet taken it is a hit, else a false alarm. Hits are
pooled over all frames and sorted by score; AP is the area under the monotone precision-recall curve (VOC, all points).
MapTR's prefilter (lines whose 2 m buffers do not meet never match) changes nothing below 2 m and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mapkd_core.types import CLASSES, MapElement

THRESHOLDS_M = (0.5, 1.0, 1.5)
STRICT_THRESHOLDS_M = (0.2, 0.5, 1.0)
POINTS = 100  # StreamMapNet and MapTracker: 200


def resample(vertices_m: NDArray[np.floating], is_closed: bool, count: int = POINTS) -> NDArray[np.float64]:
    """V x 2 -> count x 2, equally spaced along the line from its first to its last point (closed: to its first)."""
    line = np.asarray(vertices_m, np.float64)
    if is_closed:
        line = np.concatenate([line, line[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=1)


def chamfer(a_m: NDArray[np.floating], b_m: NDArray[np.floating]) -> float:
    """Metres between two point sets, N x 2 and M x 2."""
    distance = cdist(a_m, b_m)
    return float(distance.min(1).mean() + distance.min(0).mean()) / 2


def match(distance: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Which of the P detections are hits. distance: P x G metres (inf = never). Ties of the score go to the first."""
    hits = np.zeros(len(scores), bool)
    if distance.shape[1] == 0:
        return hits
    nearest = distance.argmin(1)
    taken: set[int] = set()
    for p in np.argsort(-np.asarray(scores), kind="stable"):
        if distance[p, nearest[p]] <= threshold and int(nearest[p]) not in taken:
            taken.add(int(nearest[p]))
            hits[p] = True
    return hits


def average_precision(hits: NDArray[np.bool_], scores: NDArray[np.floating], truths: int) -> float:
    """Area under the monotone precision-recall curve; NaN where there is no truth."""
    if truths == 0:
        return float("nan")
    sorted_hits = np.asarray(hits, bool)[np.argsort(-np.asarray(scores), kind="stable")]
    found = np.cumsum(sorted_hits)
    precision = found / np.arange(1, len(found) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[sorted_hits].sum() / truths)


class ChamferApAccumulator:
    """Collects hits frame by frame: a few bytes for each detection."""

    def __init__(
        self,
        classes: Sequence[str] = CLASSES,
        thresholds_m: Sequence[float] = THRESHOLDS_M,
        points: int = POINTS,
    ) -> None:
        self._classes, self._thresholds, self._points = tuple(classes), tuple(thresholds_m), points
        self._hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in self._classes}
        self._scores: dict[str, list[NDArray[np.float64]]] = {name: [] for name in self._classes}
        self.truths = dict.fromkeys(self._classes, 0)
        self.detections = dict.fromkeys(self._classes, 0)

    def add(
        self, predicted: Sequence[MapElement], truth: Sequence[MapElement], labelled: Iterable[str] | None = None
    ) -> None:
        """One frame. labelled: classes whose truth is known; detections of the others are neither right nor wrong."""
        for name in self._classes if labelled is None else [n for n in self._classes if n in set(labelled)]:
            detections = [element for element in predicted if element.class_name == name]
            targets = [element for element in truth if element.class_name == name]
            self.truths[name] += len(targets)
            self.detections[name] += len(detections)
            if detections:
                scores = np.array([element.confidence for element in detections])
                distance = self._distances(detections, targets)
                self._hits[name].append(np.stack([match(distance, scores, t) for t in self._thresholds]))
                self._scores[name].append(scores)

    def ap(self) -> dict[str, dict[float, float]]:
        """Class -> threshold in metres -> AP of 0..1; NaN for a class without truth."""
        result = {}
        for name in self._classes:
            hits = np.concatenate(self._hits[name] or [np.zeros((len(self._thresholds), 0), bool)], axis=1)
            scores = np.concatenate(self._scores[name] or [np.zeros(0)])
            result[name] = {
                t: average_precision(hits[i], scores, self.truths[name]) for i, t in enumerate(self._thresholds)
            }
        return result

    def _distances(self, detections: Sequence[MapElement], targets: Sequence[MapElement]) -> NDArray[np.float64]:
        """P x G; inf where the bounding boxes alone are further apart than the largest threshold."""
        lines = [[resample(e.vertices_m, e.is_closed, self._points) for e in group] for group in (detections, targets)]
        distance = np.full((len(detections), len(targets)), np.inf)
        for p, one in enumerate(lines[0]):
            for g, other in enumerate(lines[1]):
                gap = np.maximum(one.min(0) - other.max(0), other.min(0) - one.max(0)).max()
                if gap <= max(self._thresholds):
                    distance[p, g] = chamfer(one, other)
        return distance
