# SPDX-License-Identifier: Apache-2.0
"""What makes frames hard: IoU by the light of the world, and apart for ground that a camera sees and ground that none
does, because something stands before it or it lies in no picture.

The sums are those of `iou`: a light's IoU is that of the set of its frames; of a frame, the two parts share no cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.iou import IouAccumulator
from mapkd_core.grid import BevGrid

SEEN, HIDDEN = "seen", "hidden"


class Difficulty:
    """Streaming, as `IouAccumulator`; frames of which neither light nor sight is known add nothing."""

    def __init__(self, grid: BevGrid, classes: Sequence[str]) -> None:
        self._grid, self._classes = grid, tuple(classes)
        self._lights: dict[str, IouAccumulator] = {}
        self._sights: dict[str, IouAccumulator] = {}
        self.frames_by_light: dict[str, int] = {}
        self._truth_cells, self._truth_seen = 0, 0

    def add(
        self,
        predicted: NDArray[np.uint8],
        truth: NDArray[np.uint8],
        labelled: Iterable[str],
        light: str,
        seen: NDArray[np.bool_] | None,
    ) -> None:
        """One frame: labels as of `IouAccumulator.add`. light: empty, seen (bool [Y, X]): None where unknown."""
        known = tuple(labelled)
        if light:
            self.frames_by_light[light] = self.frames_by_light.get(light, 0) + 1
            self._of(self._lights, light).add(predicted, truth, known)
        if seen is None:
            return
        if seen.shape != self._grid.shape:
            raise ValueError(f"the mask of seen cells has shape {seen.shape}, the grid has {self._grid.shape}")
        for name, cells in ((SEEN, seen), (HIDDEN, ~seen)):
            self._of(self._sights, name).add(predicted, truth, known, cells)
        lines = np.isin(truth, [k + 1 for k, name in enumerate(self._classes) if name in known])
        self._truth_cells += int(lines.sum())
        self._truth_seen += int((lines & seen).sum())

    def by_light(self) -> dict[str, dict[str, float]]:
        """Light -> class -> IoU, in the order of the lights' names."""
        return {light: self._lights[light].iou() for light in sorted(self._lights)}

    def by_sight(self) -> dict[str, dict[str, float]]:
        """seen and hidden -> class -> IoU; empty where no frame told."""
        return {name: accumulator.iou() for name, accumulator in self._sights.items()}

    def truth_seen(self) -> float:
        """Share of the true lines' cells that some camera sees; NaN where no frame told."""
        return self._truth_seen / self._truth_cells if self._truth_cells else float("nan")

    def _of(self, kept: dict[str, IouAccumulator], name: str) -> IouAccumulator:
        return kept.setdefault(name, IouAccumulator(self._grid, self._classes, (0.0,)))
