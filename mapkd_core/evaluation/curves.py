# SPDX-License-Identifier: Apache-2.0
"""Precision over recall, as average precision integrates it: see `chamfer_ap.average_precision`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RECALLS = np.linspace(0.0, 1.0, 51)


def precision_recall(hits: NDArray[np.bool_], scores: NDArray[np.floating], truths: int) -> list[tuple[float, float]]:
    """(recall, precision) at equal steps of recall up to the highest that is reached, and there; empty without truth.

    Precision at a recall is the highest at it or at any higher one (the monotone curve of VOC).
    """
    if truths == 0:
        return []
    order = np.argsort(-np.asarray(scores), kind="stable")
    found = np.cumsum(np.asarray(hits, bool)[order])
    if not len(found) or not found[-1]:
        return [(0.0, 0.0)]
    envelope = np.maximum.accumulate((found / np.arange(1, len(found) + 1))[::-1])[::-1]
    highest = found[-1] / truths
    at = np.append(RECALLS[highest > RECALLS], highest)
    first = np.searchsorted(found, at * truths - 1e-9)  # the first detection that reaches this recall
    return [(round(float(r), 4), round(float(p), 4)) for r, p in zip(at, envelope[first])]
