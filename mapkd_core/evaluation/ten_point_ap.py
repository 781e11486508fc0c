# SPDX-License-Identifier: Apache-2.0
"""HDMapNet's matching and its AP of ten recalls (`evaluation/AP.py`), as released and as it is meant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RECALLS = np.arange(1, 11) / 10
# torch.linspace(0.1, 1, 10) in single precision: 0.7 is above the nearest number to it, so that 7 of 10
# do not reach it.
_RECALLS_AS_RELEASED = np.array(
    [0.1, 0.19999999, 0.29999998, 0.39999998, 0.49999997, 0.6, 0.70000005, 0.8, 0.9, 1.0], np.float32
)


def match_globally(distance: NDArray[np.floating], allowed: NDArray[np.bool_], threshold: float) -> NDArray[np.bool_]:
    """Hits among P detections: smallest distance below the threshold first; each pair uses up its row and its column,
    also where it is not `allowed`.
    """
    hits = np.zeros(distance.shape[0], bool)
    left = np.where(distance < threshold, distance, np.inf)
    while left.size and np.isfinite(left.min()):
        p, g = np.unravel_index(left.argmin(), left.shape)
        hits[p] = allowed[p, g]
        left[p], left[:, g] = np.inf, np.inf
    return hits


def ten_point_ap(hits: NDArray[np.bool_], sort_key: NDArray[np.floating], truths: int) -> float:
    """Mean of the best precision at or beyond each of ten recalls, detections in the order of rising `sort_key`."""
    if truths == 0 or len(hits) == 0:
        return 0.0
    found = np.cumsum(hits[np.argsort(sort_key, kind="stable")])
    precision, recall = found / np.arange(1, len(found) + 1), found / truths
    return float(np.mean([precision[recall >= r - 1e-9].max(initial=0.0) for r in _RECALLS]))


def ten_point_ap_as_released(hits: NDArray[np.bool_], scores: NDArray[np.float64], truths: int) -> float:
    """AP of one frame; see the module."""
    if truths == 0 or len(hits) == 0:
        return 0.0
    found = np.cumsum(hits[np.lexsort((~hits, scores))])
    precision, recall = found / np.arange(1, len(found) + 1), found.astype(np.float32) / np.float32(truths)
    return float(np.mean([precision[recall >= r].max(initial=0.0) for r in _RECALLS_AS_RELEASED]))
