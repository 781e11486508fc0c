# SPDX-License-Identifier: Apache-2.0
"""How far the lines of a map lie from those of the map before, the vehicle's motion undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.geometry import apply_planar, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.tracking.track import sampled
from mapkd_core.types import MapElement

LOST_M = 1.5  # the loosest threshold of the AP protocols
_STEP_M = 0.5
_MARGIN_M = 2.0  # what is so near to the edge of the map may have left it


class Steadiness:
    """Points of every map's lines, each half a metre; their distance to the nearest of its class in the next map."""

    def __init__(self, grid: BevGrid) -> None:
        self._grid = grid
        self._before: tuple[str, dict[str, NDArray[np.float64]]] = ("", {})
        self._distances: list[NDArray[np.float64]] = []

    def add(self, scene: str, elements: Sequence[MapElement], odom_T_ego: NDArray[np.float64]) -> None:
        """elements: of a frame, ego metres. Scenes come one after the other."""
        now: dict[str, NDArray[np.float64]] = {}
        for name in sorted({e.class_name for e in elements}):
            points = [sampled(e.vertices_m, e.is_closed, _STEP_M) for e in elements if e.class_name == name]
            now[name] = apply_planar(odom_T_ego, np.concatenate(points))
        if self._before[0] == scene:
            for name, points_before in self._before[1].items():
                self._compare(points_before, now.get(name), odom_T_ego)
        self._before = (scene, now)

    def result(self) -> dict[str, Any]:
        """step_m: median of what is found again. lost: share of what has nothing of its class within LOST_M."""
        distances = np.concatenate([*self._distances, np.zeros(0)])
        kept = distances[distances <= LOST_M]
        return {
            "step_m": round(float(np.median(kept)), 4) if len(kept) else 0.0,
            "lost": round(1 - len(kept) / len(distances), 4) if len(distances) else None,
        }

    def _compare(
        self, before: NDArray[np.float64], now: NDArray[np.float64] | None, odom_T_ego: NDArray[np.float64]
    ) -> None:
        x_min, y_min, x_max, y_max = self._grid.bounds
        ego = apply_planar(inverse(odom_T_ego), before)
        low, high = np.array([x_min, y_min]) + _MARGIN_M, np.array([x_max, y_max]) - _MARGIN_M
        inside = before[((ego > low) & (ego < high)).all(1)]
        if len(inside):
            lost = np.full(len(inside), np.inf)
            self._distances.append(lost if now is None else cKDTree(now).query(inside)[0])
