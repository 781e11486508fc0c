# SPDX-License-Identifier: Apache-2.0
"""IoU at the best threshold for layers that may overlap, BEVFusion (`mmdet3d/datasets/nuscenes_dataset.py`,
`evaluate_map`): per class and threshold, intersection and union are summed over the data set, and the best of the
thresholds 0.35, 0.40 ... 0.65 counts, mean over classes.

That the threshold is chosen on the very data that is scored makes it optimistic: `detail` has the IoU at 0.5 beside
it. `as_released`: a class that neither truth nor prediction ever has counts as 0; otherwise it is left out.

A file of polylines is scored by drawing each line with its score, the highest score of a cell counts. Crossings are
drawn as outlines; BEVFusion's own have filled areas, so compare its published numbers with arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.coverage import cover
from mapkd_core.data.rasterise import THICKNESS, layers
from mapkd_core.evaluation.iou import mean
from mapkd_core.evaluation.protocols.base import ScoredFrame, Scores, ScoringProtocol, Settings
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement

THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
_FIXED = 0.5


class IouAtThresholds:
    """For probabilities and truth of layers, [K, Y, X] each; sums over frames.

    counts: cells of intersection and of union, [2, K, thresholds]; those of several processes may be added.
    """

    def __init__(self, classes: Sequence[str] = CLASSES, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self._classes, self._thresholds = tuple(classes), tuple(thresholds)
        self.counts: NDArray[Any] = np.zeros((2, len(self._classes), len(self._thresholds)), np.int64)

    def add(self, probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
        """One frame: float [K, Y, X] of 0..1 and bool [K, Y, X]. Raises ValueError for other shapes or values."""
        if probability.shape != truth.shape or len(truth) != len(self._classes):
            shapes = f"probability has shape {probability.shape}, truth {truth.shape}"
            raise ValueError(f"{shapes}; both must be {len(self._classes)} layers of one size")
        if not (probability.min(initial=0.0) >= 0 and probability.max(initial=0.0) <= 1):
            raise ValueError(f"probabilities reach {probability.min()} .. {probability.max()}; expected 0..1")
        for t, threshold in enumerate(self._thresholds):
            found = probability >= threshold
            self.counts[0, :, t] += np.count_nonzero(found & truth, axis=(1, 2))
            self.counts[1, :, t] += np.count_nonzero(found | truth, axis=(1, 2))

    def iou(self) -> dict[str, dict[float, float]]:
        """Class -> threshold -> IoU; NaN where the class was never seen or predicted."""
        with np.errstate(invalid="ignore"):
            ratio = self.counts[0] / self.counts[1]
        return {name: dict(zip(self._thresholds, row.tolist())) for name, row in zip(self._classes, ratio)}


class BevFusionScorer:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._accumulator = IouAtThresholds(settings.classes, settings.thresholds or THRESHOLDS)

    def add(self, frame: ScoredFrame) -> None:
        grid, classes = self._settings.grid, self._settings.classes
        self._accumulator.add(score_layers(frame.predicted, grid, classes), layers(frame.truth, grid, classes))

    def scores(self) -> Scores:
        by_class = self._accumulator.iou()
        if self._settings.as_released:
            by_class = {name: {t: 0.0 if v != v else v for t, v in row.items()} for name, row in by_class.items()}
        best = {name: max(row.values()) for name, row in by_class.items()}
        fixed = {name: row.get(_FIXED, float("nan")) for name, row in by_class.items()}
        detail = {"iou_at_0.5": fixed, "miou_at_0.5": mean(fixed.values())}
        note = "The threshold is chosen on the data that is scored; the IoU at 0.5 makes no such choice."
        return Scores("IoU@", "score", by_class, best, mean(best.values()), (note,), detail)


def score_layers(elements: Sequence[MapElement], grid: BevGrid, classes: Sequence[str]) -> NDArray[np.float64]:
    """[K, Y, X]: of each cell the highest score of the lines of the class that cover it, 0 without any."""
    order = sorted(range(len(elements)), key=lambda i: elements[i].confidence)
    cells, owner, _ = cover(elements, order, grid, THICKNESS)
    drawn = np.zeros((len(classes), grid.shape[0] * grid.shape[1]))
    index = np.array([list(classes).index(e.class_name) for e in elements], int)
    drawn[index[owner], cells] = np.array([e.confidence for e in elements])[owner]
    return drawn.reshape(len(classes), *grid.shape)


BEVFUSION = ScoringProtocol(
    "bevfusion",
    "IoU of each class at its best threshold, layers may overlap (BEVFusion)",
    "a class that never occurs counts as 0",
    THRESHOLDS,
    BevFusionScorer,
)
