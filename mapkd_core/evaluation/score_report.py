# SPDX-License-Identifier: Apache-2.0
"""The result of scoring one file against another, and its written forms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from mapkd_core.evaluation.iou import mean
from mapkd_core.evaluation.protocols.base import Scores
from mapkd_core.evaluation.report import json_ready, percent, table

# Metric -> keys of its scores by class and threshold, of its classes, and of its mean in JSON.
_KEYS = {
    "AP": ("ap", "class_ap", "map"),
    "IoU@": ("iou_at", "class_iou_max", "miou_max"),
    "ECE": ("ece", "class_ece", "mean_ece"),
}


@dataclass(frozen=True)
class ScoreReport:
    """Scores of 0..1, NaN where a class has no truth.

    range_m: x_min, y_min, x_max, y_max. missing: tokens without prediction; extra: predicted tokens without truth.
    truths, detections: elements a class that were scored. iou, iou_by_distance: of the drawn maps; empty if not asked.
    """

    protocol: str
    as_released: bool
    range_m: tuple[float, float, float, float]
    scores: Scores
    frames: int
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    truths: dict[str, int] = field(default_factory=dict)
    detections: dict[str, int] = field(default_factory=dict)
    iou: dict[str, float] = field(default_factory=dict)
    iou_by_distance: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: NaN is null, thresholds are text."""
        by_class, by_mean, total = _KEYS[self.scores.metric]
        thresholds = {name: [*row] for name, row in self.scores.by_class.items()}
        plain = {
            "protocol": self.protocol, "as_released": self.as_released, "range_m": list(self.range_m),
            "metric": self.scores.metric, "unit": self.scores.unit, "thresholds": thresholds, "frames": self.frames,
            "frames_without_prediction": len(self.missing), "frames_without_truth": len(self.extra),
            "truths": self.truths, "detections": self.detections, total: self.scores.mean,
            by_mean: self.scores.class_score, by_class: self.scores.by_class,
        }  # fmt: skip
        if self.iou:
            plain |= {"miou": mean(self.iou.values()), "iou": self.iou, "iou_by_distance": self.iou_by_distance}
        return {key: json_ready(value) for key, value in (plain | self.scores.detail).items()} | {
            "notes": list(self.scores.notes)
        }

    def markdown(self) -> str:
        """Table of percent that reads in a terminal, too, then the notes."""
        columns = _shown(sorted({t for row in self.scores.by_class.values() for t in row}))
        bands = list(self.iou_by_distance)
        head = ["class", *[f"{self.scores.metric.rstrip('@')}@{t:g}" for t in columns], _summary(self.scores.metric)]
        head += [*(["IoU"] if self.iou else []), *[f"IoU {band} m" for band in bands], "truth", "found"]
        rows = [self._row(name, columns) for name in self.scores.by_class]
        rows.append(self._mean_row(columns))
        kind = ", as released" if self.as_released else ""
        length, width = self.range_m[2] - self.range_m[0], self.range_m[3] - self.range_m[1]
        line = f"{self.frames} frames, {length:g} x {width:g} m, protocol {self.protocol}{kind}; percent."
        return "\n".join([*table(head, rows), "", line, *self.scores.notes])

    def _row(self, name: str, columns: list[float]) -> list[str]:
        row = self.scores.by_class[name]
        cells = [percent(row.get(t, math.nan)) for t in columns] + [percent(self.scores.class_score[name])]
        cells += [percent(self.iou[name])] if self.iou else []
        cells += [percent(band[name]) for band in self.iou_by_distance.values()]
        return [name, *cells, str(self.truths.get(name, 0)), str(self.detections.get(name, 0))]

    def _mean_row(self, columns: list[float]) -> list[str]:
        rows = self.scores.by_class.values()
        cells = [percent(mean(row[t] for row in rows if t in row)) for t in columns] + [percent(self.scores.mean)]
        cells += [percent(mean(self.iou.values()))] if self.iou else []
        cells += [percent(mean(band.values())) for band in self.iou_by_distance.values()]
        return ["mean", *cells, str(sum(self.truths.values())), str(sum(self.detections.values()))]


def _shown(thresholds: list[float]) -> list[float]:
    """All of a few; of many the first, the middle and the last. JSON has all."""
    return thresholds if len(thresholds) <= 4 else [thresholds[0], thresholds[len(thresholds) // 2], thresholds[-1]]


def _summary(metric: str) -> str:
    return {"AP": "AP", "IoU@": "IoU@max", "ECE": "ECE"}[metric]
