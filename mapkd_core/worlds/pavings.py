# SPDX-License-Identifier: Apache-2.0
"""What roads are made of: the asphalt, lengths of other asphalts with straight edges, trenches, slabs, setts."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise, polylines
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.upkeep import Upkeep

BASE, DARKER, LIGHTER, SPECIAL = range(4)
_SLAB_M, _LANE_HALF_M, _ROAD_HALF_M = 5.0, 1.75, 8.0
_JOINT_M = 0.04
_SHIFT = 4


class Pavings:
    """Where which material lies; what reaches beside the road is for the caller to cut off."""

    def __init__(self, road_map: RoadMap, upkeep: Upkeep, seed: int) -> None:
        rng = np.random.default_rng([seed, 0x9A7E])
        lines = [line for line in road_map.centrelines if len(line) > 1]
        self._pieces: list[tuple[int, NDArray[np.float64]]] = []
        self._joints: list[NDArray[np.float64]] = []
        if upkeep.special:
            for line in _chosen(lines, upkeep.special_share, rng):
                self._add_special(line, upkeep.special, rng)
        for line in lines:
            self._add_repairs(line, upkeep, rng)

    def kinds(self, grid: BevGrid) -> NDArray[np.uint8] | None:
        """Y X over `grid`: BASE, DARKER, LIGHTER or SPECIAL; None where all is BASE."""
        if not self._pieces:
            return None
        kinds = np.zeros(grid.shape, np.uint8)
        for kind, outline in self._pieces:
            cv2.fillPoly(kinds, [_cells(grid, outline)], kind, cv2.LINE_8, _SHIFT)
        return kinds

    def draw_joints(self, gain: NDArray[np.uint8], grid: BevGrid) -> None:
        """Darken joints and cut edges in the road's brightness (changed in place, 128 = 1)."""
        if grid.cell > 0.1:
            return
        lines = [_cells(grid, line) for line in self._joints]
        cv2.polylines(gain, lines, False, 82, max(1, round(_JOINT_M / grid.cell)), cv2.LINE_8, _SHIFT)

    def _add_special(self, line: NDArray[np.float64], material: str, rng: np.random.Generator) -> None:
        length = float(polylines.arc_lengths(line)[-1])
        if material == "setts":
            self._add(SPECIAL, line, (0.0, length), _ROAD_HALF_M)
            return
        if length < 20:
            return  # lanes through junctions cross each other: the middle stays asphalt
        self._add(SPECIAL, line, (0.0, length), _LANE_HALF_M)
        fine = polylines.resampled(line, _SLAB_M)
        self._joints += [polylines.offset(fine, side * _LANE_HALF_M) for side in (-1, 1)]
        self._joints += list(_across(line, np.arange(rng.uniform(0, _SLAB_M), length, _SLAB_M), _LANE_HALF_M))

    def _add_repairs(self, line: NDArray[np.float64], upkeep: Upkeep, rng: np.random.Generator) -> None:
        length = float(polylines.arc_lengths(line)[-1])
        if length > 25 and rng.random() < 0.5 * upkeep.resurfaced:
            start = rng.uniform(0, 0.6 * length)
            stop = min(length, start + rng.uniform(12, 80))
            half = _ROAD_HALF_M if rng.random() < 0.55 else rng.uniform(1.5, 1.9)
            self._add(DARKER if rng.random() < 0.65 else LIGHTER, line, (start, stop), half)
            self._joints += list(_across(line, np.array([start, stop]), half))
        for _ in range(rng.poisson(upkeep.trenches * length / 60)):
            at_m, kind = rng.uniform(0, length), DARKER if rng.random() < 0.75 else LIGHTER
            if rng.random() < 0.5:
                cut = next(_across(line, np.array([at_m]), rng.uniform(2.0, _ROAD_HALF_M)))
                self._add(kind, cut, (0.0, np.inf), rng.uniform(0.25, 0.6))
                continue
            moved = polylines.offset(line, rng.uniform(-1.3, 1.3))
            self._add(kind, moved, (at_m, at_m + rng.uniform(5, 40)), rng.uniform(0.25, 0.5))

    def _add(self, kind: int, line: NDArray[np.float64], part: tuple[float, float], half: float) -> None:
        end = min(part[1], float(polylines.arc_lengths(line)[-1]))
        if end - part[0] < 1.0:
            return
        piece = next(polylines.pieces(line, np.array([part[0]]), np.array([end])))
        strip = shapely.LineString(piece).buffer(half, cap_style="flat", join_style="mitre")
        for polygon in shapely.get_parts(strip):
            self._pieces.append((kind, shapely.get_coordinates(polygon.exterior)))


def setts_tile(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Brightness of small stones with dark gaps, 128 = 1, at cells of 5 cm."""
    y, x = np.mgrid[: size[0], : size[1]]
    bend = 1.2 * noise.smooth(rng, size, 20.0, 2)
    row = (y + bend) / 3.0
    column = (x + 2 * (row.astype(int) % 2)) / 4.0
    gap = (row % 1 < 0.34) | (column % 1 < 0.26)
    stones = rng.normal(0, 0.16, (size[0] // 3 + 4, size[1] // 4 + 4)).astype(np.float32)
    shade = stones[row.astype(int) % stones.shape[0], column.astype(int) % stones.shape[1]]
    return noise.as_gain(np.where(gap, -0.32, 0.06 + shade).astype(np.float32), 1.0)


def _chosen(lines: list[NDArray[np.float64]], share: float, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """About that share of the lanes, all those of a neighbourhood together."""
    if not lines:
        return []
    middles = np.array([line[len(line) // 2] for line in lines])
    kept = np.zeros(len(lines), bool)
    while kept.mean() < share:
        centre = middles[rng.integers(len(lines))]
        kept |= np.hypot(*(middles - centre).T) < rng.uniform(30, 80)
    return [line for line, keep in zip(lines, kept, strict=True) if keep]


def _across(line: NDArray[np.float64], at_m: NDArray[np.float64], half: float) -> Iterator[NDArray[np.float64]]:
    """Straight lines across a lane, `half` metres to both sides."""
    headings = polylines.heading_at(line, at_m)
    left = half * np.stack([-np.sin(headings), np.cos(headings)], -1)
    for middle, reach in zip(polylines.at(line, at_m), left, strict=True):
        yield np.stack([middle - reach, middle + reach])


def _cells(grid: BevGrid, line: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(grid.to_cells(line) * (1 << _SHIFT)).astype(np.int32)
