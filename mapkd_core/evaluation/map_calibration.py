# SPDX-License-Identifier: Apache-2.0
"""Whether a map's scores mean what they say: those of its raster's cells, and those of its lines.

Three reliability diagrams a class (`calibration`). `cells`: every cell, the probability of the class against whether
the truth has it there; nearly all cells are background that is easily told, so this ECE is small. `drawn`: only cells
where the class is the argmax, which is what a user sees. `lines`: the confidence of polylines against hits by MapTR's
matching at 1 m.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.calibration import Reliability
from mapkd_core.evaluation.chamfer_ap import ChamferApAccumulator

CELLS, DRAWN, LINES = "cells", "drawn", "lines"
LINE_THRESHOLD_M = 1.0


class RasterCalibration:
    """Streaming: cells of all frames, by class."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._cells = {name: Reliability() for name in self._classes}
        self._drawn = {name: Reliability() for name in self._classes}
        self._frames = 0

    def add(
        self,
        probability: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        truth: NDArray[np.uint8],
        labelled: Collection[str],
    ) -> None:
        """One frame: probability [K, Y, X] of 0..255; labels (its argmax) and truth [Y, X], 0 background, 1 + class."""
        self._frames += 1
        for k, name in enumerate(self._classes):
            if name in labelled:
                score, hit, drawn = probability[k] / 255.0, truth == k + 1, labels == k + 1
                self._cells[name].add(score, hit)
                self._drawn[name].add(score[drawn], hit[drawn])

    def state(self) -> dict[str, Any]:
        """All sums, ready for JSON."""
        rows = {CELLS: self._cells, DRAWN: self._drawn}
        sums = {what: {name: curve.state() for name, curve in row.items()} for what, row in rows.items()}
        return {"frames": self._frames, **sums}

    def merge(self, state: dict[str, Any]) -> None:
        """Add the frames of another of the same classes."""
        self._frames += state["frames"]
        for what, row in ((CELLS, self._cells), (DRAWN, self._drawn)):
            for name, sums in state[what].items():
                row[name].merge(sums)

    def curves(self) -> dict[str, dict[str, Reliability]]:
        """cells and drawn -> class -> diagram; empty without frames."""
        return {CELLS: self._cells, DRAWN: self._drawn} if self._frames else {}


def line_curves(
    found: ChamferApAccumulator, classes: Sequence[str], thresholds_m: Sequence[float]
) -> dict[str, dict[str, Reliability]]:
    """lines -> class -> diagram; empty where `found` was not asked at LINE_THRESHOLD_M, or scores leave 0..1."""
    if LINE_THRESHOLD_M not in thresholds_m:
        return {}
    row = list(thresholds_m).index(LINE_THRESHOLD_M)
    curves = {}
    for name in classes:
        hits, scores = found.pooled(name)
        if scores.size and not 0 <= scores.min() <= scores.max() <= 1:
            return {}
        curves[name] = Reliability()
        curves[name].add(scores, hits[row])
    return {LINES: curves}


def errors(curves: dict[str, dict[str, Reliability]]) -> dict[str, dict[str, float]]:
    """What -> class -> ECE, NaN without a score."""
    return {what: {name: curve.ece for name, curve in row.items()} for what, row in curves.items()}


def diagrams(curves: dict[str, dict[str, Reliability]]) -> dict[str, dict[str, Any]]:
    """What -> class -> the diagram's data, for JSON."""
    return {what: {name: curve.as_dict() for name, curve in row.items()} for what, row in curves.items()}
