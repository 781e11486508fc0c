# SPDX-License-Identifier: Apache-2.0
"""One element out of JSON: every value is checked, and an error says where it stands."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.map_files.maps import ScoredElement


class Place(NamedTuple):
    """Where an element stands, for messages."""

    path: str
    frame: str
    number: int

    def __str__(self) -> str:
        return f"{self.path}: frame {self.frame}, element {self.number}"


def points_of(value: Any, place: Place) -> NDArray[np.float64]:
    """V x 2 metres from a list of [x, y] or [x, y, z] (z is left out).

    Raises ValueError where that is no list of points or a number is not finite.
    """
    try:
        points = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{place}: points are no list of [x, y] numbers: {_short(value)}") from None
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"{place}: points have shape {points.shape}; expected V x 2 metres, [[x, y], ...]")
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise ValueError(f"{place}: point {row} is {points[row].tolist()}; points must be finite metres: leave it out")
    return points[:, :2]


def score_of(value: Any, place: Place) -> float:
    """A finite number. Raises ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{place}: score is {_short(value)}; predictions need a finite number, e.g. 0.9")
    return float(value)


def element(
    class_name: str, points: NDArray[np.float64], score: float, closed: bool = False, track: int | str | None = None
) -> ScoredElement:
    """With the first vertex once: a line that returns to its start is closed."""
    returns = len(points) > 3 and bool(np.abs(points[0] - points[-1]).max() < 1e-6)
    return ScoredElement(class_name, points[:-1] if returns else points, closed or returns, score, track)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
