# SPDX-License-Identifier: Apache-2.0
"""Average precision of vectors by Chamfer distance, MapTR's protocol (`map_utils/{mean_ap,tpfp,tpfp_chamfer}.py`).

Both lines are sampled at equal steps of arc length, closed ones round to their start. Distance: `chamfer`. Per frame
and class the detections are taken by falling score; each looks at its nearest truth only: within the threshold and not
yet taken it is a hit, else a false alarm. Hits are pooled over all frames and sorted by score; AP is the area under the
monotone precision-recall curve (VOC, all points).

`flat_caps=True` keeps a quirk of the released MapTR: pairs whose lines, widened by 2 m with flat ends, do not meet
never match. Flat ends do not reach forward, so two short pieces of one line, end to end, are refused there although
their Chamfer distance is below the threshold. StreamMapNet and MapTracker have no such filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.evaluation.by_class import by_class
from mapkd_core.evaluation.chamfer import POINTS, chamfer, pairwise_chamfer, resample, resample_all
from mapkd_core.types import CLASSES, MapElement

__all__ = ["POINTS", "ChamferApAccumulator", "average_precision", "chamfer", "match", "resample"]

THRESHOLDS_M = (0.5, 1.0, 1.5)
STRICT_THRESHOLDS_M = (0.2, 0.5, 1.0)
_CAP_M = 2.0


def match(distance: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Which of the P detections are hits. distance: P x G metres (inf = never). Ties of the score go to the first."""
    return matched_truth(distance, scores, threshold) >= 0


def matched_truth(distance: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> NDArray[np.int64]:
    """P: index of the truth that each detection hits, -1 for a false alarm. Arguments as of `match`."""
    partner = np.full(len(scores), -1, np.int64)
    if distance.shape[1] == 0:
        return partner
    nearest = distance.argmin(1)
    close = np.flatnonzero(distance[np.arange(len(scores)), nearest] <= threshold)
    taken: set[int] = set()
    for p in close[np.argsort(-np.asarray(scores)[close], kind="stable")]:
        if int(nearest[p]) not in taken:
            taken.add(int(nearest[p]))
            partner[p] = nearest[p]
    return partner


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
    """Collects hits frame by frame: a few bytes for each detection. flat_caps: as the module says."""

    def __init__(
        self,
        classes: Sequence[str] = CLASSES,
        thresholds_m: Sequence[float] = THRESHOLDS_M,
        points: int = POINTS,
        flat_caps: bool = False,
    ) -> None:
        self._classes, self._thresholds, self._points = tuple(classes), tuple(thresholds_m), points
        self._flat_caps = flat_caps
        self._hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in self._classes}
        self._scores: dict[str, list[NDArray[np.float64]]] = {name: [] for name in self._classes}
        self.truths = dict.fromkeys(self._classes, 0)
        self.detections = dict.fromkeys(self._classes, 0)

    def add(
        self, predicted: Sequence[MapElement], truth: Sequence[MapElement], labelled: Iterable[str] | None = None
    ) -> None:
        """One frame. labelled: classes whose truth is known; detections of the others are neither right nor wrong."""
        for name, detections, targets in by_class(predicted, truth, self._classes, labelled):
            self.truths[name] += len(targets)
            self.detections[name] += len(detections)
            if detections:
                scores = np.array([element.confidence for element in detections])
                distance = distances(detections, targets, max(self._thresholds), self._points, self._flat_caps)
                self._hits[name].append(np.stack([match(distance, scores, t) for t in self._thresholds]))
                self._scores[name].append(scores)

    def pooled(self, name: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Of a class, all detections so far: hits, thresholds x detections, and scores."""
        hits = np.concatenate(self._hits[name] or [np.zeros((len(self._thresholds), 0), bool)], axis=1)
        return hits, np.concatenate(self._scores[name] or [np.zeros(0)])

    def state(self) -> dict[str, Any]:
        """Class -> truths, detections, hits and scores of all detections, ready for JSON."""
        return {
            name: {
                "truths": self.truths[name], "detections": self.detections[name],
                "hits": self.pooled(name)[0].astype(int).tolist(), "scores": self.pooled(name)[1].tolist(),
            }
            for name in self._classes
        }  # fmt: skip

    def merge(self, state: dict[str, Any]) -> None:
        """Add the frames of another accumulator of the same classes and thresholds, after the own ones."""
        for name, row in state.items():
            self.truths[name] += row["truths"]
            self.detections[name] += row["detections"]
            if row["scores"]:
                self._hits[name].append(np.asarray(row["hits"], bool))
                self._scores[name].append(np.asarray(row["scores"], np.float64))

    def ap(self) -> dict[str, dict[float, float]]:
        """Class -> threshold in metres -> AP of 0..1; NaN for a class without truth."""
        result = {}
        for name in self._classes:
            hits, scores = self.pooled(name)
            result[name] = {
                t: average_precision(hits[i], scores, self.truths[name]) for i, t in enumerate(self._thresholds)
            }
        return result


def distances(
    detections: Sequence[MapElement],
    targets: Sequence[MapElement],
    limit_m: float,
    points: int = POINTS,
    flat_caps: bool = False,
) -> NDArray[np.float64]:
    """P x G metres, exact up to `limit_m`; inf where a pair never matches."""
    if not targets:
        return np.zeros((len(detections), 0))
    lines, others = resample_all(detections, points), resample_all(targets, points)
    distance = pairwise_chamfer(lines, others, limit_m)
    if flat_caps:
        p, g = np.nonzero(distance <= limit_m)
        meet = shapely.intersects(_widened(lines, p), _widened(others, g))
        distance[p[~meet], g[~meet]] = np.inf
    return distance


def _widened(lines: NDArray[np.float64], chosen: NDArray[np.int64]) -> NDArray[np.object_]:
    """Polygons of the chosen lines, 2 m to each side, flat at the ends; each is made once."""
    unique, back = np.unique(chosen, return_inverse=True)
    shapes = shapely.buffer(shapely.linestrings(lines[unique]), _CAP_M, cap_style="flat", join_style="mitre")
    return np.asarray(shapes, object)[back]
