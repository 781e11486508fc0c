# SPDX-License-Identifier: Apache-2.0
"""AP on re-rasterised lines, as HDMapNet (`evaluation/AP.py`) and P-MapNet (`tools/evaluation/AP.py`) compute it.

Every element is drawn on the grid; the distance is the Chamfer distance between the sets of drawn cells in metres,
clipped at the threshold. Pairs are matched by the globally smallest distance, whatever the score. AP is the mean
precision at the recalls 0.1, 0.2 ... 1.0.

`as_released=True` keeps what the released code does; those numbers are only good beside the peers' own:

* detections enter the curve by *rising* confidence, at ties the hits first;
* the AP of each frame is averaged over the frames where the class was drawn or predicted (0 where there is no truth);
* all elements of a class share one picture: a later one paints over an earlier one, and one that is painted over
  altogether is neither a detection nor a truth;
* a pair that fails `min_iou` is used up all the same;
* recalls are compared in single precision with `torch.linspace(0.1, 1, 10)`, where 7 of 10 do not reach 0.7.

`as_released=False` sorts by falling confidence, pools all frames, draws every element by itself, never matches a pair
that fails `min_iou`, and counts in whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.data.rasterise import instances, layers
from mapkd_core.evaluation.by_class import by_class
from mapkd_core.evaluation.ten_point_ap import match_globally, ten_point_ap, ten_point_ap_as_released
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement

# Hits, scores and the number of truths.
_Frame = tuple[NDArray[np.bool_], NDArray[np.float64], int]


@dataclass(frozen=True)
class RasterProtocol:
    """bidirectional: mean of both directions, else only from the prediction to the truth, so that a fragment of a line
    matches it. min_iou: a pair whose masks overlap less does not match.
    """

    name: str
    thresholds_m: tuple[float, ...]
    bidirectional: bool
    min_iou: float


# HDMapNet's released evaluate_json.py has thresholds 2, 4, 6; its paper and BeMapNet's "hard" 0.2, 0.5, 1.0.
HDMAPNET = RasterProtocol("hdmapnet", (0.2, 0.5, 1.0), True, 0.0)
PMAPNET = RasterProtocol("pmapnet", (0.5, 1.0, 1.5), False, 0.1)


class RasterApAccumulator:
    """Frame by frame; `as_released` as the module says."""

    def __init__(
        self,
        protocol: RasterProtocol,
        grid: BevGrid,
        classes: Sequence[str] = CLASSES,
        as_released: bool = False,
    ) -> None:
        self._protocol, self._grid, self._classes, self._as_released = protocol, grid, tuple(classes), as_released
        # Per class and threshold, one (hits, scores, number of truths) for each frame.
        self._frames: dict[tuple[str, float], list[_Frame]] = {
            (name, t): [] for name in self._classes for t in protocol.thresholds_m
        }

    def add(
        self, predicted: Sequence[MapElement], truth: Sequence[MapElement], labelled: Iterable[str] | None = None
    ) -> None:
        """One frame. labelled: classes whose truth is known."""
        for name, detections, targets in by_class(predicted, truth, self._classes, labelled):
            if not detections and not targets:
                continue
            one, other = self._draw(detections), self._draw(targets)
            scores = np.array([d.confidence for d, cells in zip(detections, one) if cells is not None])
            drawn, true = ([cells for cells in group if cells is not None] for group in (one, other))
            if not drawn and not true:
                continue
            distance, overlap = self._compare(drawn, true)
            allowed = overlap >= self._protocol.min_iou
            if not self._as_released:
                distance = np.where(allowed, distance, np.inf)
            for t in self._protocol.thresholds_m:
                hits = match_globally(distance, allowed, t)
                self._frames[name, t].append((hits, scores, len(true)))

    def ap(self) -> dict[str, dict[float, float]]:
        """Class -> threshold in metres -> AP of 0..1; NaN for a class without truth (as released: without a frame)."""
        return {
            name: {t: self._summary(self._frames[name, t]) for t in self._protocol.thresholds_m}
            for name in self._classes
        }

    def _summary(self, frames: list[_Frame]) -> float:
        if not frames:
            return float("nan")
        if self._as_released:
            return float(np.mean([ten_point_ap_as_released(*frame) for frame in frames]))
        hits, scores = (np.concatenate([frame[i] for frame in frames]) for i in (0, 1))
        truths = sum(frame[2] for frame in frames)
        return ten_point_ap(hits, -scores, truths) if truths else float("nan")

    def _compare(
        self, one: Sequence[NDArray[np.int64]], other: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """P x G distances in metres and IoUs of the drawn cells."""
        distance, overlap = np.full((len(one), len(other)), np.inf), np.zeros((len(one), len(other)))
        for p, a in enumerate(one):
            for g, b in enumerate(other):
                if len(a) and len(b):
                    distance[p, g] = self._chamfer(a, b)
                    common = len(np.intersect1d(_codes(a), _codes(b), assume_unique=True))
                    overlap[p, g] = common / (len(a) + len(b) - common)
        return distance, overlap

    def _draw(self, elements: Sequence[MapElement]) -> list[NDArray[np.int64] | None]:
        """Of each element its cells, N x 2 row column; None for one that the released code does not see."""
        if not self._as_released:
            return [np.argwhere(layers([element], self._grid, (element.class_name,))[0]) for element in elements]
        picture = instances(elements, self._grid, tuple({element.class_name for element in elements}))
        cells = [np.argwhere(picture == i + 1) for i in range(len(elements))]
        return [one if len(one) else None for one in cells]

    def _chamfer(self, predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
        there = cKDTree(truth).query(predicted)[0].mean()
        back = cKDTree(predicted).query(truth)[0].mean() if self._protocol.bidirectional else there
        return float(there + back) / 2 * self._grid.cell


def _codes(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    return cells[:, 0] << 32 | cells[:, 1]
