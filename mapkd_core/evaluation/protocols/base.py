# SPDX-License-Identifier: Apache-2.0
"""What every scoring protocol is made of: settings, frames in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mapkd_core.evaluation.iou import mean
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement


@dataclass(frozen=True)
class Settings:
    """grid: range and cells. thresholds: None for the protocol's own. as_released: with the peers' quirks."""

    grid: BevGrid = field(default_factory=BevGrid)
    classes: tuple[str, ...] = CLASSES
    thresholds: tuple[float, ...] | None = None
    as_released: bool = False


@dataclass(frozen=True)
class ScoredFrame:
    """One frame within the grid's range. scene: name, where known; its frames come in the order of time."""

    token: str
    predicted: Sequence[MapElement]
    truth: Sequence[MapElement]
    scene: str | None = None


@dataclass(frozen=True)
class Scores:
    """by_class: class -> threshold -> score, NaN where there is none. class_score, mean: as the protocol sums them up.

    metric: "AP" (higher is better), "IoU@" or "ECE" (lower is better). unit: of the thresholds. detail: JSON-ready.
    """

    metric: str
    unit: str
    by_class: dict[str, dict[float, float]]
    class_score: dict[str, float]
    mean: float
    notes: tuple[str, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)


class Scorer(Protocol):
    """Streaming: frames one by one, scores at any time."""

    def add(self, frame: ScoredFrame) -> None: ...

    def scores(self) -> Scores: ...


@dataclass(frozen=True)
class ScoringProtocol:
    """title: what it measures. quirks: what `as_released` keeps; empty where there is no difference.

    thresholds: what the papers take. strict: harder ones, where a paper has them.
    """

    name: str
    title: str
    quirks: str
    thresholds: tuple[float, ...]
    make: Callable[[Settings], Scorer]
    strict: tuple[float, ...] | None = None


def average(
    by_class: dict[str, dict[float, float]], notes: tuple[str, ...] = (), absent_is_zero: bool = False
) -> Scores:
    """AP by metres: mean over thresholds, then classes. absent_is_zero: a class without truth counts as 0."""
    if absent_is_zero:
        by_class = {name: {t: 0.0 if ap != ap else ap for t, ap in row.items()} for name, row in by_class.items()}
    class_score = {name: mean(row.values()) for name, row in by_class.items()}
    return Scores("AP", "m", by_class, class_score, mean(class_score.values()), notes)
