# SPDX-License-Identifier: Apache-2.0
"""What stands beside the road: buildings, hedges, fences, trees, posts, placed along lines of equal distance to it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import low_growth, overhead, polylines, sprites
from mapkd_core.worlds.appearance import Look

WALL_PIECE_M = 6.0
BUSHES = range(25, 28)  # textures
_SPAN_TEXTURES = range(28, 30)
FACADES = 9  # the first textures are facades, solid from bottom to top
_REACH_M = 95.0  # things farther from the drive are never large enough to matter


@dataclass(frozen=True)
class Walls:
    """Upright rectangles: start and end N x 2 (map metres), z N x 2 (bottom, top), index into `textures`.

    span: N x 4 left, right, top, bottom in shares of the texture.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    z: NDArray[np.float64]  # N x 2 bottom, top
    texture: NDArray[np.int64]
    span: NDArray[np.float64]


@dataclass(frozen=True)
class Billboards:
    """Upright pictures that always face the camera: foot N x 2, width and height N x 2, index into `textures`."""

    foot: NDArray[np.float64]
    size: NDArray[np.float64]
    texture: NDArray[np.int64]


@dataclass(frozen=True)
class Roadside:
    """Everything static beside the road. textures: levels of RGBA images, finest first."""

    walls: Walls
    billboards: Billboards
    textures: tuple[sprites.Levels, ...]


NOTHING_BESIDE = Roadside(
    Walls(*(np.zeros((0, 2)) for _ in range(3)), np.zeros(0, np.int64), np.zeros((0, 4))),
    Billboards(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.int64)),
    (),
)


def build_roadside(
    distance: NDArray[np.float32], grid: BevGrid, ego: NDArray[np.float64], look: Look, rng: np.random.Generator
) -> Roadside:
    """distance: metres to the road over `grid`, 0 on it."""
    place = _Place(distance, grid, ego, rng)
    makers = [lambda: sprites.facade(rng, True)] * 6 + [lambda: sprites.facade(rng, False)] * 3
    makers += [lambda: sprites.hedge(rng)] * 3 + [lambda: sprites.fence(rng)] * 3 + [lambda: sprites.tree(rng)] * 6
    makers += [lambda kind=kind: sprites.post(rng, kind) for kind in ("lamp", "sign", "sign", "bollard")]
    more = rng.spawn(1)[0]  # numbers of its own: what stands here without it stays as it was
    makers += [lambda: low_growth.bush(more)] * len(BUSHES) + [lambda: overhead.texture(more)] * len(_SPAN_TEXTURES)
    textures = tuple(sprites.levels(make()) for make in makers)
    walls: list[tuple] = []
    _buildings(walls, place, look, rng)
    _low_walls(walls, place, look, rng)
    boards: list[tuple] = []
    _trees_and_posts(boards, place, look, rng)
    _low_growth(walls, boards, place, look, more)
    for rib in overhead.spans(look.upkeep.spans, ego[:, 1:3], place.distance_at, more):
        tile = (sprites.FACADE_M[0], rib.top - rib.bottom)
        _wall(walls, rib.outline, rib.bottom, rib.top, int(more.choice(_SPAN_TEXTURES)), tile)
    return Roadside(_walls(walls), _billboards(boards), textures)


class _Place:
    """Lines at a chosen distance from the road, within reach of the drive."""

    def __init__(
        self, distance: NDArray[np.float32], grid: BevGrid, ego: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        self._distance, self._grid, self._rng = distance, grid, rng
        self.track = ego[:, 1:3]
        track = np.zeros(grid.shape, np.uint8)
        cells = np.round(grid.to_cells(ego[:, 1:3])).astype(np.int32)
        cv2.polylines(track, [cells], False, 255, 1)
        self._reach = cv2.distanceTransform(255 - track, cv2.DIST_L2, 5) * grid.cell < _REACH_M

    def lines(self, metres: float) -> list[NDArray[np.float64]]:
        """Polylines (map metres) `metres` away from the road, cut to the reach."""
        beyond = ((self._distance > metres) & self._reach).astype(np.uint8)
        contours, _ = cv2.findContours(beyond, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        out = []
        for contour in contours:
            cells = contour[:, 0, :]
            near = np.abs(self._distance[cells[:, 1], cells[:, 0]] - metres) < 1.5
            breaks = np.nonzero(~near)[0]
            for part in np.split(cells, breaks):
                if len(part) > 12:
                    simple = cv2.approxPolyDP(part[1:].astype(np.float32)[:, None], 0.7 / self._grid.cell, False)
                    out.append(self._grid.to_metres(simple[:, 0]))
        return [line for line in out if len(line) > 1]

    def distance_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres from each point (N x 2) to the road."""
        cells = np.round(self._grid.to_cells(points)).astype(int)
        limit = np.array(self._grid.shape[::-1]) - 1
        x, y = np.clip(cells, 0, limit).T
        return self._distance[y, x]


def _buildings(walls: list[tuple], place: _Place, look: Look, rng: np.random.Generator) -> None:
    setback = look.pavement_m + rng.uniform(0.5, 7.0)
    for line in place.lines(setback):
        total, s = polylines.arc_lengths(line)[-1], 0.0
        while s < total - 6:
            length = min(rng.uniform(8, 40), total - s)
            if rng.random() < look.buildings:
                base = next(polylines.pieces(line, np.array([s]), np.array([s + length])))
                _building(walls, base, rng, place)
            s += length + (rng.uniform(0, 12) if rng.random() < 0.5 else 0.0)


def _building(walls: list[tuple], base: NDArray[np.float64], rng: np.random.Generator, place: _Place) -> None:
    height, lower, upper = rng.uniform(3.5, 30), int(rng.integers(6)), 6 + int(rng.integers(3))
    normal = polylines.offset(base, 1.0) - base
    away = 1.0 if place.distance_at(base + 2 * normal).mean() > place.distance_at(base - 2 * normal).mean() else -1.0
    base = base + away * normal * rng.uniform(0, 3)
    ends = [base[0] + away * 10 * normal[0], base[-1] + away * 10 * normal[-1]]
    for outline in (base, np.stack([ends[0], base[0]]), np.stack([base[-1], ends[1]])):
        if len(outline) > 1 and place.distance_at(outline).min() > 1.0:
            _wall(walls, outline, 0.0, min(height, sprites.FACADE_M[1]), lower, sprites.FACADE_M)
            if height > sprites.FACADE_M[1]:
                _wall(walls, outline, sprites.FACADE_M[1], height, upper, sprites.FACADE_M)


def _low_walls(walls: list[tuple], place: _Place, look: Look, rng: np.random.Generator) -> None:
    for first, share in ((9, look.greenery), (12, 0.25)):
        for line in place.lines(look.pavement_m * rng.uniform(0.3, 1.2) + 0.7):
            total, s = polylines.arc_lengths(line)[-1], 0.0
            while s < total - 3:
                length = min(rng.uniform(3, 25), total - s)
                if rng.random() < 0.45 * share:
                    outline = next(polylines.pieces(line, np.array([s]), np.array([s + length])))
                    height = rng.uniform(0.5, 1.6)
                    _wall(walls, outline, 0.0, height, first + int(rng.integers(3)), (4 * height, height))
                s += length + rng.uniform(1, 10)


def _low_growth(walls: list[tuple], boards: list[tuple], place: _Place, look: Look, rng: np.random.Generator) -> None:
    for foot, size in low_growth.bushes(place.lines, place.track, look.upkeep.bushes, rng):
        boards.append((foot, size, BUSHES[int(rng.integers(len(BUSHES)))]))
    for outline, height in low_growth.railings(place.lines, place.track, look.upkeep.railings, rng):
        _wall(walls, outline, 0.0, height, 12 + int(rng.integers(3)), low_growth.RAIL_TILE_M)


def _wall(
    walls: list[tuple], outline: NDArray[np.float64], bottom: float, top: float, texture: int, tile: tuple[float, float]
) -> None:
    """Split into pieces no longer than half the texture, so that each lies inside one repeat of it."""
    step = min(WALL_PIECE_M, tile[0] / 2)
    fine = polylines.resampled(outline, step)
    s = 0.0
    for a, b in pairwise(fine):
        length = float(np.hypot(*(b - a)))
        left = (s % tile[0]) / tile[0]
        left = 0.0 if left + length / tile[0] > 1.0 else left
        walls.append(
            (a, b, (bottom, top), texture, (left, left + length / tile[0], max(0.0, 1 - (top - bottom) / tile[1]), 1.0))
        )
        s += length


def _trees_and_posts(boards: list[tuple], place: _Place, look: Look, rng: np.random.Generator) -> None:
    kinds = (
        (rng.uniform(1.0, 2.5), 5.0, 0.6 * look.greenery, "tree"),
        (look.pavement_m + 2.5, 5.0, 0.8 * look.greenery, "tree"),
        (rng.uniform(0.5, 1.0), 28.0, 0.9, "lamp"),
        (rng.uniform(0.5, 1.2), 14.0, 0.4, "sign"),
        (0.6, 1.8, 0.15 if rng.random() < 0.4 else 0.0, "bollard"),
    )
    for metres, spacing, share, kind in kinds:
        for line in place.lines(metres):
            s = np.arange(rng.uniform(0, spacing), polylines.arc_lengths(line)[-1], spacing)
            s = s[rng.random(len(s)) < share] + rng.uniform(-0.3, 0.3) * spacing
            for foot in polylines.at(line, s):
                boards.append((foot, *_upright(kind, rng)))


def _upright(kind: str, rng: np.random.Generator) -> tuple[tuple[float, float], int]:
    """Size (width, height) and texture of one thing."""
    if kind == "tree":
        height = rng.uniform(3.0, 11.0)
        return (height * rng.uniform(0.55, 0.95), height), 15 + int(rng.integers(6))
    if kind == "lamp":
        return (2.5, rng.uniform(6, 9)), 21
    if kind == "sign":
        return (0.8, rng.uniform(2.2, 3.2)), 22 + int(rng.integers(2))
    return (0.3, rng.uniform(0.8, 1.1)), 24


def _walls(rows: list[tuple]) -> Walls:
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], [], []]
    shapes = ((-1, 2), (-1, 2), (-1, 2), (-1,), (-1, 4))
    start, end, z, texture, span = (np.array(c, float).reshape(s) for c, s in zip(columns, shapes, strict=True))
    return Walls(start, end, z, texture.astype(int), span)


def _billboards(rows: list[tuple]) -> Billboards:
    columns = list(zip(*rows, strict=True)) if rows else [[], [], []]
    foot, size, texture = (
        np.array(c, float).reshape(s) for c, s in zip(columns, ((-1, 2), (-1, 2), (-1,)), strict=True)
    )
    return Billboards(foot, size, texture.astype(int))
