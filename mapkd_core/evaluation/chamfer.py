# SPDX-License-Identifier: Apache-2.0
"""Lines as equally spaced points, and the Chamfer distance between them: for one pair, and for all pairs of a frame.

CVPR 2023 benchmark (`resources/docs/metrics.md`), MapTR (`tpfp_chamfer.py`), StreamMapNet (`distance.py`):
CD(A, B) = (mean over a of min over b |a - b| + mean over b of min over a |a - b|) / 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mapkd_core.types import MapElement

POINTS = 100  # MapTR, VectorMapNet; StreamMapNet and MapTracker: 200
_SLACK_M = 1e-6  # far above the rounding of the bound, far below any threshold


def resample(vertices_m: NDArray[np.floating], is_closed: bool, count: int = POINTS) -> NDArray[np.float64]:
    """V x 2 -> count x 2, equally spaced along the line from its first to its last point (closed: to its first)."""
    return _resample(_walked(vertices_m, is_closed)[None], count)[0]


def resample_all(elements: Sequence[MapElement], count: int = POINTS) -> NDArray[np.float64]:
    """E elements -> E x count x 2, each as `resample` does it; all of one number of vertices at once."""
    lines = [_walked(element.vertices_m, element.is_closed) for element in elements]
    sampled = np.zeros((len(lines), count, 2))
    for vertices in {len(line) for line in lines}:
        rows = [i for i, line in enumerate(lines) if len(line) == vertices]
        sampled[rows] = _resample(np.stack([lines[i] for i in rows]), count)
    return sampled


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
    near = np.ones(distance.shape, bool) if np.isinf(limit_m) else _may_be_within(a_m, b_m, limit_m + _SLACK_M)
    points = a_m.shape[1]
    for g, target in enumerate(b_m):
        rows = np.flatnonzero(near[:, g])
        if len(rows):
            # The root of the smallest square is the smallest distance to the last bit, and saves most of the roots.
            squares = cdist(a_m[rows].reshape(-1, 2), target, "sqeuclidean").reshape(len(rows), points, -1)
            there, back = np.sqrt(squares.min(2)).mean(1), np.sqrt(squares.min(1)).mean(1)
            distance[rows, g] = (there + back) / 2
    return distance


def _walked(vertices_m: NDArray[np.floating], is_closed: bool) -> NDArray[np.float64]:
    line = np.asarray(vertices_m, np.float64)
    return np.concatenate([line, line[:1]]) if is_closed else line


def _resample(lines: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """L x V x 2 -> L x count x 2: linear between the two vertices around each place along the line."""
    step = np.diff(lines, axis=1)
    length = np.sqrt(np.einsum("lvc,lvc->lv", step, step))
    along = np.concatenate([np.zeros((len(lines), 1)), np.cumsum(length, axis=1)], axis=1)
    at = np.linspace(0.0, 1.0, count) * along[:, -1:]
    piece = (along[:, None, 1:-1] <= at[:, :, None]).sum(2)  # the last one that starts there or before
    rows = np.arange(len(lines))[:, None]
    share = (at - along[rows, piece]) / np.maximum(length[rows, piece], 1e-300)
    return lines[rows, piece] + np.minimum(share, 1.0)[..., None] * step[rows, piece]


def _may_be_within(a_m: NDArray[np.float64], b_m: NDArray[np.float64], limit_m: float) -> NDArray[np.bool_]:
    """P x G: whether the bound allows it. The gap between the boxes is a bound, too, a weaker and cheaper one."""
    boxes = [(lines.min(1), lines.max(1)) for lines in (a_m, b_m)]
    (low, high), (other_low, other_high) = boxes
    near = np.maximum(low[:, None] - other_high, other_low - high[:, None]).max(2) <= limit_m
    p, g = np.nonzero(near)
    bound = (_mean_to_boxes(a_m[p], other_low[g], other_high[g]) + _mean_to_boxes(b_m[g], low[p], high[p])) / 2
    near[p, g] = bound <= limit_m
    return near


def _mean_to_boxes(
    lines: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """K x N x 2 points and K boxes -> K: mean distance of the points to the box."""
    gap = np.maximum(low[:, None] - lines, lines - high[:, None])
    np.maximum(gap, 0.0, out=gap)
    return np.sqrt(np.einsum("knc,knc->kn", gap, gap)).mean(1)
