# SPDX-License-Identifier: Apache-2.0
"""AP by the IoU of drawn elements, MapVR (arXiv 2306.10502; `MapVectorizationEvalToolkit/{map_evaluator,demo}.py`).

Every element is a mask of its own on a canvas of 8 pixels a metre (480 x 240 for 60 x 30 m): vertices on whole pixels,
lines one pixel wide, crossings filled, both widened by a 5 x 5 square. Per frame and class the 100 best detections of a
score of at least 0.05 take, by falling score, the free truth of the highest IoU (COCO). IoU thresholds are 0.25, 0.30
... 0.50 for lines and 0.50, 0.55 ... 0.75 for crossings; AP is the mean precision at the recalls 0, 0.01 ... 1.

No quirk was found in the released code; classes without truth are left out there as here.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.iou import mean
from mapkd_core.evaluation.protocols.base import ScoredFrame, Scores, ScoringProtocol, Settings
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

LINE_THRESHOLDS = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
POLYGON_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
POLYGONS = ("ped_crossing",)
MIN_SCORE, MAX_DETECTIONS = 0.05, 100
_PIXELS_PER_M, _WIDTH = 8, 5
_RECALLS = np.linspace(0.0, 1.0, 101)


class MapVrScorer:
    def __init__(self, settings: Settings) -> None:
        self._grid = settings.grid
        self._thresholds = {
            name: settings.thresholds or (POLYGON_THRESHOLDS if name in POLYGONS else LINE_THRESHOLDS)
            for name in settings.classes
        }
        self._truths = dict.fromkeys(settings.classes, 0)
        self._scores: dict[str, list[NDArray[np.float64]]] = {name: [] for name in settings.classes}
        self._hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in settings.classes}

    def add(self, frame: ScoredFrame) -> None:
        for name, thresholds in self._thresholds.items():
            detections = [e for e in frame.predicted if e.class_name == name and e.confidence >= MIN_SCORE]
            detections = sorted(detections, key=lambda e: -e.confidence)[:MAX_DETECTIONS]
            targets = [e for e in frame.truth if e.class_name == name]
            self._truths[name] += len(targets)
            if detections:
                iou = mask_iou(draw(detections, self._grid), draw(targets, self._grid))
                self._hits[name].append(np.stack([match_best_free(iou, t) for t in thresholds]))
                self._scores[name].append(np.array([e.confidence for e in detections]))

    def scores(self) -> Scores:
        by_class = {name: self._ap(name) for name in self._thresholds}
        class_score = {name: mean(row.values()) for name, row in by_class.items()}
        return Scores("AP", "IoU", by_class, class_score, mean(class_score.values()))

    def _ap(self, name: str) -> dict[float, float]:
        thresholds = self._thresholds[name]
        hits = np.concatenate(self._hits[name] or [np.zeros((len(thresholds), 0), bool)], axis=1)
        order = np.argsort(-np.concatenate(self._scores[name] or [np.zeros(0)]), kind="stable")
        return {t: recall_sampled_ap(row[order], self._truths[name]) for t, row in zip(thresholds, hits)}


def draw(elements: Sequence[MapElement], grid: BevGrid) -> NDArray[np.bool_]:
    """E elements -> E x pixels: the mask of each."""
    width, height = (round(_PIXELS_PER_M * m) for m in (grid.y_max - grid.y_min, grid.x_max - grid.x_min))
    masks = np.zeros((len(elements), height, width), np.uint8)
    for mask, element in zip(masks, elements):
        # As seen by the LiDAR of nuScenes: columns to the right, rows forward.
        columns = (grid.y_max - element.vertices_m[:, 1]) * _PIXELS_PER_M
        rows = (element.vertices_m[:, 0] - grid.x_min) * _PIXELS_PER_M
        pixels = np.around(np.stack([columns, rows], 1)).astype(np.int32)
        if element.class_name in POLYGONS:
            cv2.fillPoly(mask, [pixels], 1)
        else:
            cv2.polylines(mask, [pixels], element.is_closed, 1, 1)
        cv2.dilate(mask, np.ones((_WIDTH, _WIDTH), np.uint8), dst=mask)
    return masks.reshape(len(elements), height * width).astype(bool)


def mask_iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """P x pixels and G x pixels -> P x G; 0 where both are empty."""
    common = one.astype(np.float32) @ other.astype(np.float32).T  # whole numbers below 2^24: exact
    union = one.sum(1)[:, None] + other.sum(1)[None] - common.astype(np.float64)
    return common / np.maximum(union, 1)


def match_best_free(iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Hits of P detections in their order: each takes the free truth of the highest IoU, at ties the last (COCO)."""
    hits, free = np.zeros(len(iou), bool), np.ones(iou.shape[1], bool)
    for p, row in enumerate(iou):
        candidates = np.where(free & (row >= min(threshold, 1 - 1e-10)), row, -1.0)
        if len(row) and candidates.max() >= 0:
            free[len(row) - 1 - int(candidates[::-1].argmax())] = False
            hits[p] = True
    return hits


def recall_sampled_ap(hits: NDArray[np.bool_], truths: int) -> float:
    """COCO's AP of detections in the order of falling score: mean precision at 101 recalls; NaN without truth."""
    if truths == 0:
        return float("nan")
    found = np.cumsum(hits)
    precision = np.maximum.accumulate((found / np.arange(1, len(found) + 1))[::-1])[::-1]
    at = np.searchsorted(found / truths, _RECALLS, side="left")
    return float(np.where(at < len(found), np.append(precision, 0.0)[np.minimum(at, len(found))], 0.0).mean())


RASTER = ScoringProtocol(
    "raster",
    "AP by the IoU of drawn elements, lines 0.25-0.50, crossings 0.50-0.75 (MapVR)",
    "",
    LINE_THRESHOLDS,
    MapVrScorer,
)
