# SPDX-License-Identifier: Apache-2.0
"""Calibration of polylines: how often a line of score s is a hit by MapTR's matching, against s. Expected calibration
error per class and threshold (`mapkd_core.evaluation.calibration`), and the data of the reliability diagram.

A line that repeats another one is no hit, as in AP. There is no released code to be compatible with.
"""

from __future__ import annotations

from mapkd_core.evaluation.calibration import Reliability
from mapkd_core.evaluation.chamfer_ap import THRESHOLDS_M, ChamferApAccumulator
from mapkd_core.evaluation.iou import mean
from mapkd_core.evaluation.protocols.base import ScoredFrame, Scores, ScoringProtocol, Settings


class CalibrationScorer:
    """`curves`: class and threshold -> Reliability, for plots."""

    def __init__(self, settings: Settings) -> None:
        self._classes, self._thresholds = settings.classes, settings.thresholds or THRESHOLDS_M
        self._accumulator = ChamferApAccumulator(self._classes, self._thresholds)

    def add(self, frame: ScoredFrame) -> None:
        self._accumulator.add(frame.predicted, frame.truth)

    def curves(self) -> dict[tuple[str, float], Reliability]:
        """Raises ValueError where a score is not within 0..1."""
        made = {}
        for name in self._classes:
            hits, scores = self._accumulator.pooled(name)
            for row, t in zip(hits, self._thresholds):
                made[name, t] = Reliability()
                made[name, t].add(scores, row)
        return made

    def scores(self) -> Scores:
        curves = self.curves()
        by_class = {name: {t: curves[name, t].ece for t in self._thresholds} for name in self._classes}
        class_score = {name: mean(row.values()) for name, row in by_class.items()}
        table = {name: {f"{t:g}": curves[name, t].as_dict() for t in self._thresholds} for name in self._classes}
        note = "ECE: 0 means that a score is the share of hits; lower is better."
        return Scores("ECE", "m", by_class, class_score, mean(class_score.values()), (note,), {"reliability": table})


CALIBRATION = ScoringProtocol(
    "calibration",
    "expected calibration error of the scores, hits by Chamfer distance; lower is better",
    "",
    THRESHOLDS_M,
    CalibrationScorer,
)
