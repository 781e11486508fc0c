# SPDX-License-Identifier: Apache-2.0
"""IoU of rasterised maps as HDMapNet, P-MapNet and MapKD report it (their `get_batch_iou`): one label per cell by
argmax, intersection and union summed over the whole data set before they are divided, mean over the classes without
background. Added here: classes without truth and cells that no camera saw can be left out, and distance bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES

BAND_EDGES_M = (0.0, 10.0, 20.0, 30.0)


def argmax_labels(probability: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.uint8]:
    """[K, Y, X] (uint8 of 0..255 or float of 0..1) -> uint8 [Y, X]: 0 background, 1 + class.

    Background has what the classes leave of 1, so this is the argmax of a softmax over background and classes.
    """
    p = np.asarray(probability)
    p = p.astype(np.float32) / 255 if p.dtype == np.uint8 else p.astype(np.float32)
    best = p.argmax(0)
    return np.where(p.max(0) > 1 - p.sum(0), best + 1, 0).astype(np.uint8)


class IouAccumulator:
    """Sums over frames; memory does not grow with their number.

    band_edges_m: distance from the ego origin; a cell beyond the last edge counts in the total only.
    """

    def __init__(
        self, grid: BevGrid, classes: Sequence[str] = CLASSES, band_edges_m: Sequence[float] = BAND_EDGES_M
    ) -> None:
        self._grid, self._classes = grid, tuple(classes)
        self._bands = tuple(pairwise(band_edges_m))
        distance = np.linalg.norm(grid.centres(), axis=-1)
        self._band_of = np.searchsorted(np.asarray(band_edges_m[1:]), distance, side="right")
        shape = (len(self._bands) + 1, len(self._classes))
        self._intersection, self._union = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def add(
        self,
        predicted: NDArray[np.uint8],
        truth: NDArray[np.uint8],
        labelled: Iterable[str] | None = None,
        observed: NDArray[np.bool_] | None = None,
    ) -> None:
        """One frame: label arrays [Y, X], 0 background, 1 + class.

        labelled: classes whose truth is known in this frame; the others add nothing to their own score.
        observed: cells that count; None = all.
        """
        for name, labels in (("predicted", predicted), ("truth", truth)):
            if labels.shape != self._grid.shape:
                raise ValueError(f"{name} labels have shape {labels.shape}, the grid has {self._grid.shape}")
            if labels.max(initial=0) > len(self._classes):
                raise ValueError(f"{name} holds label {labels.max()}, there are {len(self._classes)} classes")
        known = [name in set(self._classes if labelled is None else labelled) for name in self._classes]
        confusion = self._confusion(predicted, truth, observed)
        hits = np.einsum("bkk->bk", confusion)[:, 1:]
        union = confusion.sum(1)[:, 1:] + confusion.sum(2)[:, 1:] - hits
        self._intersection += hits * known
        self._union += union * known

    def add_layers(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        """One frame of layers that may overlap, bool [K, Y, X] each: what HDMapNet's `evaluate_json.py` compares."""
        shape = (len(self._classes), *self._grid.shape)
        if predicted.shape != shape or truth.shape != shape:
            raise ValueError(f"layers have shapes {predicted.shape} and {truth.shape}, expected {shape}")
        for k, (found, true) in enumerate(zip(predicted, truth, strict=True)):
            for cells, total in ((found & true, self._intersection), (found | true, self._union)):
                total[:, k] += np.bincount(self._band_of[cells], minlength=len(total))

    def state(self) -> dict[str, Any]:
        """The sums, ready for JSON; `merge` adds them to others."""
        return {"intersection": self._intersection.tolist(), "union": self._union.tolist()}

    def merge(self, state: dict[str, Any]) -> None:
        """Add the frames of another accumulator of the same grid, classes and bands."""
        self._intersection += np.asarray(state["intersection"], np.int64)
        self._union += np.asarray(state["union"], np.int64)

    def iou(self) -> dict[str, float]:
        """Class -> IoU of 0..1 over all cells; NaN where neither truth nor prediction ever had the class."""
        return self._ratios(self._intersection.sum(0), self._union.sum(0))

    def iou_by_distance(self) -> dict[str, dict[str, float]]:
        """Band such as "0-10" (metres) -> class -> IoU."""
        names = [f"{low:g}-{high:g}" for low, high in self._bands]
        return {name: self._ratios(self._intersection[b], self._union[b]) for b, name in enumerate(names)}

    def _confusion(
        self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8], observed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """[band, truth, predicted] counts."""
        size = len(self._classes) + 1
        code = (self._band_of * size + truth) * size + predicted
        counts = np.bincount(
            code.ravel() if observed is None else code[observed], minlength=(len(self._bands) + 1) * size**2
        )
        return counts.reshape(-1, size, size)

    def _ratios(self, intersection: NDArray[np.int64], union: NDArray[np.int64]) -> dict[str, float]:
        return {
            name: float(i / u) if u else float("nan")
            for name, i, u in zip(self._classes, intersection, union, strict=True)
        }


def mean(values: Iterable[float]) -> float:
    """Mean of the values that are numbers; NaN where none is."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float("nan")
