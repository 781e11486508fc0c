# SPDX-License-Identifier: Apache-2.0
"""Whether scores mean what they say: reliability diagram and expected calibration error, for polylines (score against
hit) and for cells (probability against truth). Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

ECE = sum over bins of n_bin / n * |share of hits in the bin - mean score in the bin|, equal bins of [0, 1] (eq. 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.writing import aside

BINS = 10


class Reliability:
    """Sums in bins; memory does not grow with the number of scores."""

    def __init__(self, bins: int = BINS) -> None:
        if bins < 1:
            raise ValueError(f"{bins} bins; a reliability diagram needs at least one")
        self.edges = np.linspace(0.0, 1.0, bins + 1)
        self.count = np.zeros(bins, np.int64)
        self._score, self._hits = np.zeros(bins), np.zeros(bins, np.int64)

    def add(self, scores: ArrayLike, hits: ArrayLike) -> None:
        """Scores of 0..1 and whether each was right, of one shape. Raises ValueError for anything else."""
        score, hit = np.asarray(scores, np.float64).ravel(), np.asarray(hits, bool).ravel()
        if score.shape != hit.shape:
            raise ValueError(f"{len(score)} scores and {len(hit)} hits; expected one each")
        if not (score.min(initial=0.0) >= 0 and score.max(initial=0.0) <= 1):
            raise ValueError(f"scores reach {score.min()} .. {score.max()}; calibration needs probabilities of 0..1")
        bins = len(self.count)
        index = np.minimum((score * bins).astype(np.int64), bins - 1)
        self.count += np.bincount(index, minlength=bins)
        self._score += np.bincount(index, score, minlength=bins)
        self._hits += np.bincount(index[hit], minlength=bins)

    def state(self) -> dict[str, list[float]]:
        """Sums of the bins, ready for JSON."""
        return {"count": self.count.tolist(), "score": self._score.tolist(), "hits": self._hits.tolist()}

    def merge(self, state: dict[str, list[float]]) -> None:
        """Add the scores of another of as many bins."""
        self.count += np.asarray(state["count"], np.int64)
        self._score += np.asarray(state["score"], np.float64)
        self._hits += np.asarray(state["hits"], np.int64)

    @property
    def mean_score(self) -> NDArray[np.float64]:
        """Per bin; NaN for an empty one."""
        return _ratio(self._score, self.count)

    @property
    def hit_rate(self) -> NDArray[np.float64]:
        """Per bin; NaN for an empty one."""
        return _ratio(self._hits, self.count)

    @property
    def ece(self) -> float:
        """0 (scores mean what they say) to 1; NaN without any score."""
        if not self.count.sum():
            return float("nan")
        return float(np.abs(self._hits - self._score).sum() / self.count.sum())

    def as_dict(self) -> dict[str, list[float | None]]:
        """For JSON: the diagram's data, None for an empty bin."""
        columns = {"low": self.edges[:-1], "count": self.count, "score": self.mean_score, "hit_rate": self.hit_rate}
        return {
            key: [None if np.isnan(v) else round(float(v), 6) for v in column.tolist()]
            for key, column in columns.items()
        }


def plot(curves: Mapping[str, Mapping[str, Sequence[float | None]]], path: Path) -> None:
    """Reliability diagram as a picture, its format by the suffix. curves: label -> what `as_dict` gives.

    Raises ImportError without matplotlib, ValueError for a suffix that it does not know.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("the reliability diagram is drawn by matplotlib: pip install 'mapkd[plot]'") from None
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfect")
    for name, curve in curves.items():
        seen = [(x, y) for x, y in zip(curve["score"], curve["hit_rate"]) if x is not None and y is not None]
        axes.plot([x for x, _ in seen], [y for _, y in seen], marker="o", label=name)
    axes.set(xlabel="mean score", ylabel="share of hits", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="upper left")
    with aside(path) as unfinished:
        figure.savefig(unfinished, dpi=120)


def _ratio(total: NDArray[np.floating] | NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
