# SPDX-License-Identifier: Apache-2.0
"""Which upright things are wholly hidden behind buildings that fill the picture up to its upper edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.uprights import Uprights

_SLACK_M = 0.5


class Occluders:
    """Distance, per column of a picture, beyond which a building hides everything that stands on flat ground."""

    def __init__(self, width: int) -> None:
        self._limit = np.full(width, np.inf)

    def add(self, walls: Uprights, is_solid: NDArray[np.bool_]) -> None:
        """Take note of the solid walls that reach above the upper edge."""
        top = walls.pixels[:, 2:, 1].max(axis=1)
        far = walls.points[..., 2].max(axis=1)
        shown = np.zeros(len(top), bool)
        shown[walls.shown] = True
        for i in np.nonzero(shown & is_solid & walls.whole & (top < 0))[0]:
            x0, _, x1, _ = walls.roi[i]
            columns = self._limit[x0 + 1 : x1 - 2]
            np.minimum(columns, far[i], out=columns)

    def visible(self, things: Uprights) -> NDArray[np.int64]:
        """Indices of the things to draw, without the hidden ones."""
        near = things.points[..., 2].min(axis=1) - _SLACK_M
        low, high = things.roi[:, 0], things.roi[:, 2]
        pending = things.shown[things.whole[things.shown] & (low < high)[things.shown]]
        shows = ~things.whole
        if len(pending):
            # Every second result is that of columns low..high; one more column, for those that end at the edge.
            edges = np.stack([low[pending], high[pending]], -1).ravel()
            farthest = np.maximum.reduceat(np.append(self._limit, 0.0), edges)[::2]
            shows[pending] = farthest > near[pending]
        return things.shown[shows[things.shown]]
