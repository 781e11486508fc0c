# SPDX-License-Identifier: Apache-2.0
"""Kerb stones: the low upright edge of the road, whose foot is the boundary line of the map."""

from __future__ import annotations

import numpy as np
import shapely

from mapkd_core.worlds import polylines
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.canvas import Canvas
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.relief import FLAT, Relief

_REACH_M = 35.0
_BLOCK_M = 1.5
_TOP_M = 0.18


class Kerbs:
    """Kerb blocks along the road area's rings, as high as `dropped` leaves them (None: all of full height)."""

    def __init__(
        self,
        area: shapely.MultiPolygon,
        look: Look,
        rng: np.random.Generator,
        relief: Relief = FLAT,
        dropped: DroppedKerbs | None = None,
    ) -> None:
        starts, ends, outward = [], [], []
        for polygon in shapely.get_parts(area.normalize()) if not area.is_empty else []:
            for ring in [polygon.exterior, *polygon.interiors]:
                line = polylines.resampled(shapely.get_coordinates(ring), _BLOCK_M)
                sign = 1.0 if ring.is_ccw == (ring is not polygon.exterior) else -1.0
                steps = np.diff(line, axis=0)
                normal = np.stack([-steps[:, 1], steps[:, 0]], -1) / np.maximum(np.hypot(*steps.T), 1e-9)[:, None]
                starts.append(line[:-1])
                ends.append(line[1:])
                outward.append(_away(polygon, line[:-1] + steps / 2, normal, sign))
        self._start = np.concatenate(starts) if starts else np.zeros((0, 2))
        self._end = np.concatenate(ends) if ends else np.zeros((0, 2))
        self._outward = np.concatenate(outward) if outward else np.zeros((0, 2))
        self._feet = np.stack([relief.height(self._start), relief.height(self._end)], 1)[..., None]
        shares = [np.ones(len(p)) if dropped is None else dropped.height_share(p) for p in (self._start, self._end)]
        self._height = look.kerb_height_m * np.stack(shares, 1)  # at the start and at the end of each block
        self._face, self._top = _colours(look, len(self._start), rng)

    def draw(self, canvas: Canvas, eye: np.ndarray) -> None:
        """Draw the blocks near the camera, far ones first; `eye` is the camera's place on the ground."""
        if not self._height.any():
            return
        index = canvas.seen(self._start, 2.0, _REACH_M)
        index = index[np.argsort(-np.hypot(*(self._start[index] - eye).T))]
        a, b, out = self._start[index], self._end[index], self._outward[index]
        foot = np.concatenate([np.stack([a, b], 1), self._feet[index]], -1)
        edge = foot + self._height[index][..., None] * np.array([0.0, 0.0, 1.0])
        back = edge + np.pad(_TOP_M * out, ((0, 0), (0, 1)))[:, None]
        faces, tops = np.concatenate([foot, edge[:, ::-1]], 1), np.concatenate([edge, back[:, ::-1]], 1)
        towards = np.einsum("ij,ij->i", eye - a, out) < 0
        shapes = np.stack([tops, faces], 1)[np.stack([np.ones_like(towards), towards], 1)]
        colours = np.stack([self._top[index], self._face[index]], 1)
        canvas.polygons(shapes, colours[np.stack([np.ones_like(towards), towards], 1)])


def _away(polygon: shapely.Polygon, middle: np.ndarray, normal: np.ndarray, sign: float) -> np.ndarray:
    """Unit normals that point out of the road."""
    probe = shapely.contains_xy(polygon, *(middle + 0.02 * normal).T)
    return np.where(probe[:, None], -normal, normal) if len(probe) else sign * normal


def _colours(look: Look, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    stone = np.array(look.kerb_colour) * rng.normal(1, 0.04, (count, 1))
    if look.kerb == "black_white":
        dark = (np.arange(count) % 2 == 0)[:, None]
        stone = np.where(dark, np.array([45, 45, 46]), np.array([215, 214, 210])) * rng.normal(1, 0.07, (count, 1))
    if look.kerb == "painted":
        stone = np.array(look.yellow) * rng.normal(0.95, 0.05, (count, 1))
    side = 0.78 - 0.2 * look.sun
    return np.clip(stone * side, 0, 255), np.clip(stone, 0, 255)
