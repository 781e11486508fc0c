# SPDX-License-Identifier: Apache-2.0
"""What makes frames hard: IoU by the light of the world, and apart for ground that a camera sees, ground that is hidden
behind something in every picture, and ground that no camera looks at.

The sums are those of `iou`: a light's IoU is that of the set of its frames; of a frame, the three parts share no cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.evaluation.iou import IouAccumulator
from mapkd_core.grid import BevGrid

SIGHTS = ("seen", "hidden", "in no picture")


class Difficulty:
    """Streaming, as `IouAccumulator`; frames of which neither light nor sight is known add nothing."""

    def __init__(self, grid: BevGrid, classes: Sequence[str]) -> None:
        self._grid, self._classes = grid, tuple(classes)
        self._lights: dict[str, IouAccumulator] = {}
        self._sights: dict[str, IouAccumulator] = {}
        self.frames_by_light: dict[str, int] = {}
        self._truth_cells = dict.fromkeys(SIGHTS, 0)

    def add(
        self,
        predicted: NDArray[np.uint8],
        truth: NDArray[np.uint8],
        labelled: Iterable[str],
        light: str,
        seen: NDArray[np.bool_] | None,
        observed: NDArray[np.bool_] | None = None,
    ) -> None:
        """One frame: labels as of `IouAccumulator.add`. light: empty, seen (bool [Y, X]): None where unknown.

        observed: bool [Y, X], cells that lie in some picture, hidden or not; None for all.
        """
        known = tuple(labelled)
        if light:
            self.frames_by_light[light] = self.frames_by_light.get(light, 0) + 1
            self._of(self._lights, light).add(predicted, truth, known)
        if seen is None:
            return
        if seen.shape != self._grid.shape:
            raise ValueError(f"the mask of seen cells has shape {seen.shape}, the grid has {self._grid.shape}")
        pictured = np.ones(seen.shape, bool) if observed is None else observed | seen
        lines = np.isin(truth, [k + 1 for k, name in enumerate(self._classes) if name in known])
        for name, cells in zip(SIGHTS, (seen, pictured & ~seen, ~pictured), strict=True):
            self._of(self._sights, name).add(predicted, truth, known, cells)
            self._truth_cells[name] += int((lines & cells).sum())

    def by_light(self) -> dict[str, dict[str, float]]:
        """Light -> class -> IoU, in the order of the lights' names."""
        return {light: self._lights[light].iou() for light in sorted(self._lights)}

    def by_sight(self) -> dict[str, dict[str, float]]:
        """One of SIGHTS -> class -> IoU; empty where no frame told."""
        return {name: accumulator.iou() for name, accumulator in self._sights.items()}

    def truth_by_sight(self) -> dict[str, float]:
        """One of SIGHTS -> share of the true lines' cells that lie there; empty where no frame told."""
        total = sum(self._truth_cells.values())
        return {name: count / total for name, count in self._truth_cells.items()} if total else {}

    def state(self) -> dict[str, Any]:
        """All sums, ready for JSON."""
        return {
            "lights": {name: found.state() for name, found in self._lights.items()},
            "sights": {name: found.state() for name, found in self._sights.items()},
            "frames_by_light": dict(self.frames_by_light),
            "truth_cells": dict(self._truth_cells),
        }

    def merge(self, state: dict[str, Any]) -> None:
        """Add the frames of another of the same grid and classes."""
        for kept, added in ((self._lights, state["lights"]), (self._sights, state["sights"])):
            for name, sums in added.items():
                self._of(kept, name).merge(sums)
        for light, count in state["frames_by_light"].items():
            self.frames_by_light[light] = self.frames_by_light.get(light, 0) + count
        for name, count in state["truth_cells"].items():
            self._truth_cells[name] += count

    def _of(self, kept: dict[str, IouAccumulator], name: str) -> IouAccumulator:
        return kept.setdefault(name, IouAccumulator(self._grid, self._classes, (0.0,)))
