# SPDX-License-Identifier: Apache-2.0
"""What the rays may hit, as plain arrays: kerbs, walls, trees and posts of a world, and the boxes of an instant."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.relief import FLAT, Relief
from mapkd_core.worlds.roadside import Roadside
from mapkd_core.worlds.roadside_textures import BUSHES
from mapkd_core.worlds.walls import Billboards

TREE_TEXTURES = range(15, 21)  # of roadside.build_roadside
_TRUNK_HALF_M, _POST_HALF_M = 0.12, 0.06
_CROWN_BOTTOM, _CROWN_RADIUS = 0.35, 0.4  # shares of a tree's height and of its picture's width
_SILL, _CABIN_LENGTH = 0.6, 0.62  # shares of a car's height and length
_CAR_MAX_M, _CLEARANCE_M = 2.2, 0.2  # higher vehicles are vans and lorries, without a bonnet; gap under the body
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


class Kind(IntEnum):
    """What a ray met."""

    ROAD = 0
    PAVEMENT = 1
    KERB = 2
    WALL = 3
    PLANT = 4
    POST = 5
    BODY = 6
    GLASS = 7
    PERSON = 8
    OWN_ROOF = 9


class Uprights(NamedTuple):
    """Upright rectangles: start and end N x 2, z N x 2 (bottom, top) above the ground there, kind N.

    feet: N x 2, how high the ground lies at start and end.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    z: NDArray[np.float64]
    kind: NDArray[np.integer]
    feet: NDArray[np.float64]


class Crowns(NamedTuple):
    """Leaves of trees as ellipsoids: centre N x 3, size N x 2 (radius, half height)."""

    centre: NDArray[np.float64]
    size: NDArray[np.float64]


def kerbs(
    area: shapely.MultiPolygon, height_m: float, relief: Relief = FLAT, dropped: DroppedKerbs | None = None
) -> Uprights:
    """The faces between the road and what lies beside it; none where kerbs are flush, low ones where they drop."""
    rings = [shapely.get_coordinates(r) for part in area.geoms for r in (part.exterior, *part.interiors)]
    if height_m <= 0 or not rings:
        return _uprights(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)), Kind.KERB, relief)
    start, end = np.concatenate([r[:-1] for r in rings]), np.concatenate([r[1:] for r in rings])
    share = np.ones(len(start))
    if dropped is not None:
        start, end, share = dropped.split(start, end)
    stands = share > 0
    top = height_m * share[stands]
    return _uprights(start[stands], end[stands], np.stack([np.zeros_like(top), top], -1), Kind.KERB, relief)


def walls(roadside: Roadside, foliage_from: int, relief: Relief = FLAT) -> Uprights:
    """Facades, fences, and hedges (textures `foliage_from` and the two after it), which are plants."""
    found = roadside.walls
    kind = np.where((found.texture >= foliage_from) & (found.texture < foliage_from + 3), Kind.PLANT, Kind.WALL)
    return _uprights(found.start, found.end, found.z, kind, relief)


def trunks(boards: Billboards, eye: NDArray[np.float64], feet: NDArray[np.float64]) -> Uprights:
    """Trunks of trees and posts, thin and turned to the sensor at `eye` (x y); feet: N, ground below them."""
    has_trunk = ~np.isin(boards.texture, BUSHES)
    feet = feet[has_trunk]
    boards = Billboards(boards.foot[has_trunk], boards.size[has_trunk], boards.texture[has_trunk])
    is_tree = np.isin(boards.texture, TREE_TEXTURES)
    away = boards.foot - eye
    across = np.stack([-away[:, 1], away[:, 0]], -1) / np.maximum(np.hypot(*away.T), 1e-6)[:, None]
    half = across * np.where(is_tree, _TRUNK_HALF_M, _POST_HALF_M)[:, None]
    top = boards.size[:, 1] * np.where(is_tree, 0.6, 1.0)
    kind = np.where(is_tree, Kind.PLANT, Kind.POST)
    z = np.stack([np.zeros_like(top), top], -1)
    return Uprights(boards.foot - half, boards.foot + half, z, kind, np.stack([feet, feet], -1))


def crowns(boards: Billboards, relief: Relief = FLAT) -> Crowns:
    """Leaves of trees, and of bushes, which reach the ground."""
    has_leaves = np.isin(boards.texture, [*TREE_TEXTURES, *BUSHES])
    foot, (width, height) = boards.foot[has_leaves], boards.size[has_leaves].T
    bottom = np.where(np.isin(boards.texture[has_leaves], BUSHES), 0.0, _CROWN_BOTTOM) * height
    centre = np.column_stack([foot, relief.height(foot) + (bottom + height) / 2])
    return Crowns(centre, np.stack([_CROWN_RADIUS * width, (height - bottom) / 2], -1))


def bodies(boxes: Sequence[Box], relief: Relief = FLAT) -> tuple[Uprights, NDArray[np.float64], NDArray[np.integer]]:
    """Sides of road users, and their tops N x 6 (x y yaw length width z) with kinds N.

    A car is a low body and a shorter cabin of glass on it; whatever is higher than a car is one body.
    """
    lower, upper = [], []  # x y yaw length width top bottom kind
    for box in boxes:
        place = (box.x, box.y, box.yaw)
        if box.kind == "VEHICLE" and box.height < _CAR_MAX_M and box.length > 2.5:
            sill = _SILL * box.height
            lower.append((*place, box.length, box.width, sill, _CLEARANCE_M, Kind.BODY))
            upper.append((*place, _CABIN_LENGTH * box.length, 0.9 * box.width, box.height, sill, Kind.GLASS))
        else:
            kind = Kind.PERSON if box.kind in ("PEDESTRIAN", "CYCLIST") else Kind.BODY
            bottom = 2 * _CLEARANCE_M if box.kind == "VEHICLE" else 0.0
            lower.append((*place, box.length, box.width, box.height, bottom, kind))
    rows = np.array(lower + upper, np.float64).reshape(-1, 8)
    c, s = np.cos(rows[:, 2]), np.sin(rows[:, 2])
    turn = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], 1)
    corners = (_CORNERS * rows[:, None, 3:5]) @ turn + rows[:, None, :2]  # N 4 2
    z = np.repeat(rows[:, [6, 5]], 4, axis=0)
    kinds = rows[:, 7].astype(np.int8)
    ends = np.roll(corners, -1, axis=1).reshape(-1, 2)
    sides = _uprights(corners.reshape(-1, 2), ends, z, np.repeat(kinds, 4), relief)
    rows[:, 5] += relief.height(rows[:, :2])
    return sides, rows[:, :6], np.where(kinds == Kind.GLASS, Kind.BODY, kinds).astype(np.int8)


def joined(*parts: Uprights) -> Uprights:
    """All of them as one."""
    return Uprights(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _uprights(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    z: NDArray[np.float64],
    kind: Kind | NDArray[np.integer],
    relief: Relief,
) -> Uprights:
    kinds = np.full(len(start), kind, np.int8) if isinstance(kind, Kind) else kind
    return Uprights(start, end, z, kinds, np.stack([relief.height(start), relief.height(end)], -1))
