# SPDX-License-Identifier: Apache-2.0
"""Which upright things are wholly hidden behind nearer buildings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.uprights import Uprights

_SLACK_M = 0.5
_BANDS = 8  # heights in the picture for which buildings are told apart


class Occluders:
    """Distance beyond which buildings hide what stands on flat ground, per column of a picture and height in it.

    Row i of the table counts the buildings that reach above i / `_BANDS` of the picture's upper half.
    """

    def __init__(self, width: int, height: int) -> None:
        self._limit = np.full((_BANDS, width + 1), np.inf)
        self._limit[:, width] = 0.0  # beyond the last column, for slices that end there
        self._band_px = height / 2 / _BANDS

    def add(self, walls: Uprights, is_solid: NDArray[np.bool_]) -> None:
        """Take note of the solid walls."""
        top = walls.pixels[:, 2:, 1].max(axis=1)
        far = walls.points[..., 2].max(axis=1).tolist()
        shown = np.zeros(len(top), bool)
        shown[walls.shown] = True
        band = np.ceil((top / self._band_px).clip(0, _BANDS)).astype(int)
        index = np.flatnonzero(shown & is_solid & walls.whole & (band < _BANDS))
        for i, first, (x0, _, x1, _) in zip(index, band[index].tolist(), walls.roi[index].tolist(), strict=True):
            columns = self._limit[first:, x0 + 1 : x1 - 2]
            np.minimum(columns, far[i], out=columns)

    def visible(self, things: Uprights) -> NDArray[np.int64]:
        """Indices of the things to draw, without the hidden ones."""
        near = things.points[..., 2].min(axis=1) - _SLACK_M
        low, high = things.roi[:, 0], things.roi[:, 2]
        pending = things.shown[things.whole[things.shown] & (low < high)[things.shown]]
        shows = ~things.whole
        if len(pending):
            # Every second result is that of columns low..high in the band of the thing's upper edge.
            band = (things.pixels[pending, :, 1].min(axis=1) / self._band_px).clip(0, _BANDS - 1).astype(int)
            begins = band * self._limit.shape[1]
            edges = np.stack([begins + low[pending], begins + high[pending]], -1).ravel()
            farthest = np.maximum.reduceat(self._limit.ravel(), edges)[::2]
            shows[pending] = farthest > near[pending]
        return things.shown[shows[things.shown]]
