# SPDX-License-Identifier: Apache-2.0
"""Predicted maps against truth, frame by frame, into one report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.rasterise import rasterise
from mapkd_core.evaluation.calibration import Reliability
from mapkd_core.evaluation.chamfer_ap import POINTS, THRESHOLDS_M, ChamferApAccumulator
from mapkd_core.evaluation.curves import precision_recall
from mapkd_core.evaluation.difficulty import Difficulty
from mapkd_core.evaluation.iou import BAND_EDGES_M, IouAccumulator, argmax_labels
from mapkd_core.evaluation.map_calibration import RasterCalibration, errors, line_curves
from mapkd_core.evaluation.report import Report
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap, MapElement

# One frame: what was predicted, what is true, and the classes whose truth is known (None = all).
Pair = tuple[LocalMap, Sequence[MapElement], Iterable[str] | None]


class Evaluator:
    """Streaming form of `evaluate`: `add` each frame, `report` at any time.

    observed_only: cells that no camera saw do not count for IoU. Off for comparison with the papers, whose six
    cameras see nearly everything. clear_overlap: truth as the papers rasterise it (see `rasterise`). calibrated: keep
    whether the scores mean what they say, which costs as much as all the rest.
    """

    def __init__(
        self,
        grid: BevGrid,
        classes: Sequence[str] = CLASSES,
        thresholds_m: Sequence[float] = THRESHOLDS_M,
        points: int = POINTS,
        band_edges_m: Sequence[float] = BAND_EDGES_M,
        observed_only: bool = False,
        clear_overlap: bool = False,
        calibrated: bool = False,
    ) -> None:
        self._grid, self._classes = grid, tuple(classes)
        self._observed_only, self._clear_overlap = observed_only, clear_overlap
        self._iou = IouAccumulator(grid, classes, band_edges_m)
        self._ap = ChamferApAccumulator(classes, thresholds_m, points)
        self._thresholds_m = tuple(thresholds_m)
        self._difficulty = Difficulty(grid, classes)
        self._raster_calibration = RasterCalibration(classes) if calibrated else None
        self._protocol = f"MapTR ({points} points, {', '.join(f'{t:g}' for t in thresholds_m)} m)"
        self._frames = self._without_probability = 0

    def add(
        self,
        predicted: LocalMap,
        truth: Sequence[MapElement],
        labelled: Iterable[str] | None = None,
        light: str = "",
        seen: NDArray[np.bool_] | None = None,
    ) -> None:
        """One frame; light of its world and ground that cameras see (bool [Y, X]) where they are known.

        Raises ValueError where the map has another grid or other classes than the evaluator.
        """
        if predicted.grid != self._grid or tuple(predicted.classes) != self._classes:
            raise ValueError(
                f"the map covers {predicted.grid.bounds} m with {predicted.classes}, "
                f"the evaluation {self._grid.bounds} m with {self._classes}: evaluate on the grid of the map"
            )
        known = set(self._classes if labelled is None else labelled)
        self._frames += 1
        if predicted.probability is None:  # vectors only: score what they look like when drawn
            self._without_probability += 1
            labels = rasterise(predicted.elements, self._grid, self._classes)
        else:
            labels = argmax_labels(predicted.probability)
        target = rasterise(truth, self._grid, self._classes, clear_overlap=self._clear_overlap)
        self._iou.add(labels, target, known, predicted.observed if self._observed_only else None)
        self._ap.add(predicted.elements, truth, known)
        self._difficulty.add(labels, target, known, light, seen, predicted.observed)
        if self._raster_calibration and predicted.probability is not None:
            self._raster_calibration.add(predicted.probability, labels, target, known)

    def state(self) -> dict[str, Any]:
        """All sums, ready for JSON, for `merge` in another process."""
        calibration = self._raster_calibration
        return {
            "grid": asdict(self._grid), "classes": list(self._classes), "frames": self._frames,
            "without_probability": self._without_probability, "iou": self._iou.state(), "ap": self._ap.state(),
            "difficulty": self._difficulty.state(), "calibration": calibration.state() if calibration else None,
        }  # fmt: skip

    def merge(self, state: dict[str, Any]) -> None:
        """Add the frames that another evaluator has seen, as if they came after the own ones.

        Raises ValueError where it had another grid, other classes, or only one of both looked at calibration.
        """
        here = {"grid": asdict(self._grid), "classes": list(self._classes)}
        there = {key: state[key] for key in here}
        if here != there or (self._raster_calibration is None) != (state["calibration"] is None):
            raise ValueError(f"these scores belong to {there}, the evaluation is on {here}: they cannot be added")
        self._frames += state["frames"]
        self._without_probability += state["without_probability"]
        self._iou.merge(state["iou"])
        self._ap.merge(state["ap"])
        self._difficulty.merge(state["difficulty"])
        if self._raster_calibration is not None:
            self._raster_calibration.merge(state["calibration"])

    def curves(self) -> dict[str, dict[float, list[tuple[float, float]]]]:
        """Class -> threshold in metres -> (recall, precision), as AP integrates them; empty without truth."""
        found = {}
        for name in self._classes:
            hits, scores = self._ap.pooled(name)
            truths = self._ap.truths[name]
            found[name] = {t: precision_recall(hits[i], scores, truths) for i, t in enumerate(self._thresholds_m)}
        return found

    def reliability(self) -> dict[str, dict[str, Reliability]]:
        """cells, drawn and lines -> class -> diagram (`map_calibration`); empty where it was not asked for."""
        if self._raster_calibration is None:
            return {}
        return self._raster_calibration.curves() | line_curves(self._ap, self._classes, self._thresholds_m)

    def report(self) -> Report:
        """Scores of the frames so far."""
        notes = []
        if self._without_probability:
            notes.append(f"IoU of {self._without_probability} frames is that of their drawn vectors.")
        if self._observed_only:
            notes.append("IoU counts observed cells only.")
        return Report(
            classes=self._classes,
            iou=self._iou.iou(),
            iou_by_distance=self._iou.iou_by_distance(),
            ap=self._ap.ap(),
            frames=self._frames,
            truths=dict(self._ap.truths),
            detections=dict(self._ap.detections),
            protocol=self._protocol,
            notes=tuple(notes),
            iou_by_light=self._difficulty.by_light(),
            frames_by_light=dict(sorted(self._difficulty.frames_by_light.items())),
            iou_by_sight=self._difficulty.by_sight(),
            truth_by_sight=self._difficulty.truth_by_sight(),
            ece=errors(self.reliability()),
        )


def evaluate(
    pairs: Iterable[Pair], grid: BevGrid | None = None, classes: Sequence[str] = CLASSES, **options: Any
) -> Report:
    """Report over all pairs; grid: that of the first map by default; options: those of `Evaluator`.

    Raises ValueError where there is no pair and no grid to report an empty result for.
    """
    evaluator = None if grid is None else Evaluator(grid, classes, **options)
    for predicted, truth, labelled in pairs:
        evaluator = evaluator or Evaluator(predicted.grid, classes, **options)
        evaluator.add(predicted, truth, labelled)
    if evaluator is None:
        raise ValueError("nothing to evaluate: no frame came with truth")
    return evaluator.report()
