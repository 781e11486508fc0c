# SPDX-License-Identifier: Apache-2.0
"""The result of an evaluation, and how it is written: JSON for machines, Markdown for documents and terminals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mapkd_core.evaluation.iou import mean
from mapkd_core.writing import write_json


@dataclass(frozen=True)
class Report:
    """Scores of 0..1; NaN where a class has no truth.

    iou: class -> IoU. iou_by_distance: band in metres -> class -> IoU. ap: class -> threshold in metres -> AP.
    frames, truths, detections: what went in. protocol: how AP was computed. notes: what a reader must know.
    iou_by_light, iou_by_sight: light of the world, or whether a camera sees the ground -> class -> IoU, with the number
    of frames by light and the share of the true lines' cells by sight (`difficulty`). ece: what -> class -> calibration
    error of the scores (`map_calibration`). Empty where they were not known.
    """

    classes: tuple[str, ...]
    iou: dict[str, float]
    iou_by_distance: dict[str, dict[str, float]]
    ap: dict[str, dict[float, float]]
    frames: int
    truths: dict[str, int] = field(default_factory=dict)
    detections: dict[str, int] = field(default_factory=dict)
    protocol: str = "maptr"
    notes: tuple[str, ...] = ()
    iou_by_light: dict[str, dict[str, float]] = field(default_factory=dict)
    frames_by_light: dict[str, int] = field(default_factory=dict)
    iou_by_sight: dict[str, dict[str, float]] = field(default_factory=dict)
    truth_by_sight: dict[str, float] = field(default_factory=dict)
    ece: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that have one."""
        return mean(self.iou.values())

    @property
    def class_ap(self) -> dict[str, float]:
        """Class -> mean over the thresholds."""
        return {name: mean(by_threshold.values()) for name, by_threshold in self.ap.items()}

    @property
    def map(self) -> float:
        """Mean AP: over the thresholds, then over the classes that have truth."""
        return mean(self.class_ap.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes null, thresholds become text, mIoU and mAP are spelled out."""
        plain = asdict(self) | {"miou": self.miou, "map": self.map, "class_ap": self.class_ap}
        return {key: json_ready(value) for key, value in plain.items()}

    def write_json(self, path: Path) -> None:
        """Whole or not at all: written aside, then renamed."""
        write_json(path, self.as_dict())

    def markdown(self) -> str:
        """Per class: IoU, IoU by distance, AP by threshold; percent. Reads as a table in a terminal, too."""
        thresholds = list(next(iter(self.ap.values()), {}))
        head = ["class", "IoU", *[f"IoU {band} m" for band in self.iou_by_distance]]
        head += [*[f"AP@{t:g}" for t in thresholds], "AP", "truth", "found"]
        rows = [self._row(name, thresholds) for name in self.classes]
        rows.append(self._mean_row(thresholds))
        lines = [*table(head, rows), "", f"{self.frames} frames, AP by the {self.protocol} protocol."]
        return "\n".join([*lines, *self.notes, *self._difficulty()])

    def _difficulty(self) -> list[str]:
        """Lines of the tables by light, by sight, and of calibration; none where nothing of it is known."""
        lines = []
        if self.iou_by_light:
            rows = [[light, str(self.frames_by_light[light]), *self._ious(v)] for light, v in self.iou_by_light.items()]
            lines += ["", *table(["IoU by light", "frames", *self.classes, "mean"], rows)]
        if self.iou_by_sight:
            shares = self.truth_by_sight
            rows = [
                [name, percent(shares.get(name, math.nan)), *self._ious(v)] for name, v in self.iou_by_sight.items()
            ]
            lines += ["", *table(["IoU of ground", "of the lines", *self.classes, "mean"], rows)]
        if self.ece:
            lines += ["", *table(["ECE of", *self.classes, "mean"], ([n, *self._ious(v)] for n, v in self.ece.items()))]
        return lines

    def _ious(self, values: dict[str, float]) -> list[str]:
        """Of each class, then their mean."""
        return [*(percent(values.get(name, math.nan)) for name in self.classes), percent(mean(values.values()))]

    def _row(self, name: str, thresholds: Sequence[float]) -> list[str]:
        bands = [percent(values.get(name, math.nan)) for values in self.iou_by_distance.values()]
        aps = [percent(self.ap[name][t]) for t in thresholds] if name in self.ap else ["-"] * len(thresholds)
        counts = [str(self.truths.get(name, "-")), str(self.detections.get(name, "-"))]
        return [
            name,
            percent(self.iou.get(name, math.nan)),
            *bands,
            *aps,
            percent(self.class_ap.get(name, math.nan)),
            *counts,
        ]

    def _mean_row(self, thresholds: Sequence[float]) -> list[str]:
        bands = [percent(mean(values.values())) for values in self.iou_by_distance.values()]
        aps = [percent(mean(by_threshold[t] for by_threshold in self.ap.values())) for t in thresholds]
        counts = [str(sum(self.truths.values())), str(sum(self.detections.values()))]
        return ["mean", percent(self.miou), *bands, *aps, percent(self.map), *counts]


def percent(value: float) -> str:
    """0.3784 -> "37.8"; "-" for NaN."""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table whose columns are aligned in plain text as well: first one left, numbers right."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *rows]) for i in range(len(head))]
    rule = ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]]

    def line(cells: Sequence[str]) -> str:
        aligned = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(aligned) + " |"

    return [line(head), line(rule), *[line(row) for row in rows]]


def json_ready(value: object) -> object:
    """Numbers as keys become text, NaN becomes None; six digits."""
    if isinstance(value, dict):
        return {f"{key:g}" if isinstance(key, float) else str(key): json_ready(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(v) for v in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value
