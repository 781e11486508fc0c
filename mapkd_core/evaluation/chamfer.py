# SPDX-License-Identifier: Apache-2.0
"""Lines as equally spaced points, and the Chamfer distance between them: for one pair, and for all pairs of a frame.

CVPR 2023 benchmark (`resources/docs/metrics.md`), MapTR (`tpfp_chamfer.py`), StreamMapNet (`distance.py`):
CD(A, B) = (mean over a of min over b |a - b| + mean over b of min over a |a - b|) / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mapkd_core.types import MapElement

POINTS = 100  # MapTR, VectorMapNet; StreamMapNet and MapTracker: 200
_SLACK_M = 1e-6  # far above the rounding of the bound, far below any threshold


def resample(vertices_m: NDArray[np.floating], is_closed: bool, count: int = POINTS) -> NDArray[np.float64]:
    """V x 2 -> count x 2, equally spaced along the line from its first to its last point (closed: to its first)."""
    line = np.asarray(vertices_m, np.float64)
    if is_closed:
        line = np.concatenate([line, line[:1]])
    step = np.diff(line, axis=0)
    along = np.zeros(len(line))
    np.cumsum(np.sqrt(np.einsum("ij,ij->i", step, step)), out=along[1:])
    at = _shares(count) * along[-1]
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=1)


def resample_all(elements: Sequence[MapElement], count: int = POINTS) -> NDArray[np.float64]:
    """E elements -> E x count x 2."""
    if not elements:
        return np.zeros((0, count, 2))
    return np.stack([resample(element.vertices_m, element.is_closed, count) for element in elements])


def chamfer(a_m: NDArray[np.floating], b_m: NDArray[np.floating]) -> float:
    """Metres between two point sets, N x 2 and M x 2."""
    distance = cdist(a_m, b_m)
    return float(distance.min(1).mean() + distance.min(0).mean()) / 2


def pairwise_chamfer(
    a_m: NDArray[np.float64], b_m: NDArray[np.float64], limit_m: float = np.inf
) -> NDArray[np.float64]:
    """P x N x 2 and G x M x 2 -> P x G metres; inf where the distance is certainly above `limit_m`.

    What is certain: no point of a line is nearer to the other line than to the box around it, so the Chamfer distance
    is at least the mean distance of the points to the other's box. Every distance up to the limit is exact, and with
    it every match at thresholds up to the limit.
    """
    distance = np.full((len(a_m), len(b_m)), np.inf)
    if not distance.size:
        return distance
    near = np.ones(distance.shape, bool)
    if np.isfinite(limit_m):
        near = (_mean_to_boxes(a_m, b_m) + _mean_to_boxes(b_m, a_m).T) / 2 <= limit_m + _SLACK_M
    points = a_m.shape[1]
    for g, target in enumerate(b_m):
        rows = np.flatnonzero(near[:, g])
        if len(rows):
            # The root of the smallest square is the smallest distance to the last bit, and saves most of the roots.
            squares = cdist(a_m[rows].reshape(-1, 2), target, "sqeuclidean").reshape(len(rows), points, -1)
            there, back = np.sqrt(squares.min(2)).mean(1), np.sqrt(squares.min(1)).mean(1)
            distance[rows, g] = (there + back) / 2
    return distance


@lru_cache(maxsize=8)
def _shares(count: int) -> NDArray[np.float64]:
    return np.linspace(0.0, 1.0, count)


def _mean_to_boxes(a_m: NDArray[np.float64], b_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """P x G: mean distance of a's points to the bounding box of b."""
    low, high = b_m.min(1), b_m.max(1)
    gap = np.maximum(low[None, :, None] - a_m[:, None], a_m[:, None] - high[None, :, None])
    np.maximum(gap, 0.0, out=gap)
    return np.sqrt(np.einsum("pgnc,pgnc->pgn", gap, gap)).mean(2)
