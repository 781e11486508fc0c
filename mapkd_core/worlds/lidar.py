# SPDX-License-Identifier: Apache-2.0
"""A 32-beam spinning LiDAR in a rendered world: one sweep by casting rays at ground, kerbs, walls, trees and boxes.

Model of the sensor that nuScenes drives with: 20 turns a second, 1084 columns, beams from -30.67 to +10.67 degrees. The
sweep is taken at one instant: the vehicle's own motion during the turn does not bend it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import apply, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.roadside import Roadside

RINGS, COLUMNS = 32, 1084
ELEVATIONS = np.radians(np.linspace(-30.67, 10.67, RINGS))
MOUNT_M = (0.95, 0.0, 1.85)  # in the ego frame
_OWN = Box("VEHICLE", 1.9, 1.3, 1.55, 0.75, 0.0, 0.0)  # the roof of the vehicle that carries the sensor
REACH_M, RANGE_NOISE_M = 80.0, 0.02
_GROUND, _WALL, _PLANT, _BODY = range(4)
_INTENSITY = np.array([9.0, 18.0, 7.0, 22.0])
_PAINT_INTENSITY = 60.0


class Lidar:
    """Casts sweeps into one world.

    coverage: Y X uint8 over `grid` (map frame), 255 where paint covers the road. distance: metres outside the road over
    `distance_grid`, 0 on it; outside, the ground is `kerb_height_m` higher.
    """

    def __init__(
        self,
        roadside: Roadside,
        coverage: NDArray[np.uint8],
        grid: BevGrid,
        distance: NDArray[np.float32],
        distance_grid: BevGrid,
        kerb_height_m: float,
    ) -> None:
        self._roadside, self._coverage, self._grid = roadside, coverage, grid
        self._distance, self._distance_grid, self._kerb = distance, distance_grid, kerb_height_m
        self._azimuth = np.linspace(-np.pi, np.pi, COLUMNS, endpoint=False)
        self._slope = np.tan(ELEVATIONS)[:, None]

    def sweep(
        self, map_T_ego: NDArray[np.float64], boxes: Sequence[Box], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """P x 5 float32: x y z in the ego frame, intensity 0..255, ring 0 (lowest) .. 31."""
        origin = apply(map_T_ego, np.array(MOUNT_M))
        yaw = np.arctan2(map_T_ego[1, 0], map_T_ego[0, 0])
        cast = _Cast(origin, self._azimuth + yaw, self._slope)
        self._ground(cast)
        x, y = apply(map_T_ego, np.array([_OWN.x, _OWN.y, 0.0]))[:2]
        cast.roof(_OWN._replace(x=x, y=y, yaw=float(yaw)))
        walls, boards = self._roadside.walls, self._roadside.billboards
        for i in np.nonzero(np.hypot(*((walls.start + walls.end) / 2 - origin[:2]).T) < REACH_M)[0]:
            cast.wall(walls.start[i], walls.end[i], walls.z[i], _WALL)
        for i in np.nonzero(np.hypot(*(boards.foot - origin[:2]).T) < REACH_M)[0]:
            self._board(cast, boards.foot[i], boards.size[i], 15 <= boards.texture[i] < 21, rng)
        for box in boxes:
            if np.hypot(box.x - origin[0], box.y - origin[1]) < REACH_M:
                self._box(cast, box)
        return self._points(cast, map_T_ego, rng)

    def _ground(self, cast: _Cast) -> None:
        reach = _down_to(0.0, cast.origin[2], self._slope)
        cast.distance[:] = np.minimum(reach, REACH_M + 1)
        raised = _down_to(self._kerb, cast.origin[2], self._slope)
        raised = np.broadcast_to(np.minimum(raised, REACH_M + 1), cast.distance.shape)
        outside = _looked_up(self._distance, self._distance_grid, cast.xy(raised)) > 0
        np.copyto(cast.distance, raised, where=outside)

    def _board(self, cast: _Cast, foot: NDArray, size: NDArray, is_tree: bool, rng: np.random.Generator) -> None:
        """Trees are a thin trunk below a wide, leaky crown; posts are thin."""
        away = foot - cast.origin[:2]
        across = np.array([-away[1], away[0]]) / max(np.hypot(*away), 1e-6)
        trunk = across * (0.12 if is_tree else 0.06)
        cast.wall(foot - trunk, foot + trunk, np.array([0.0, size[1]]), _WALL)
        if is_tree:
            crown = across * size[0] * 0.4
            depth = away / max(np.hypot(*away), 1e-6) * rng.normal(0, 0.25 * size[0], 2)
            cast.wall(
                foot - crown + depth, foot + crown + depth, size[1] * np.array([0.4, 1.0]), _PLANT, leak=0.35, rng=rng
            )

    def _box(self, cast: _Cast, box: Box) -> None:
        c, s = np.cos(box.yaw), np.sin(box.yaw)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * (box.length, box.width)
        corners = corners @ np.array([[c, s], [-s, c]]) + (box.x, box.y)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            cast.wall(a, b, np.array([0.15 if box.kind == "VEHICLE" else 0.0, box.height]), _BODY)
        if box.height < cast.origin[2]:
            cast.roof(box)

    def _points(self, cast: _Cast, map_T_ego: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
        distance, kind = cast.distance, cast.kind
        slant = distance * np.sqrt(1 + self._slope**2)
        grazing = np.where(kind == _GROUND, np.sin(-ELEVATIONS).clip(0.01)[:, None], 1.0)
        chance = 0.97 * np.clip(2.2 * grazing**0.35 * np.exp(-slant / 90), 0, 1)
        keep = (slant < REACH_M) & (slant > 0.3) & (rng.random(slant.shape) < chance)
        noisy = distance + rng.normal(0, RANGE_NOISE_M, distance.shape)
        rings, columns = np.nonzero(keep)
        xy = cast.xy(noisy)[rings, columns]
        z = cast.origin[2] + (noisy * self._slope)[rings, columns]
        paint = _looked_up(self._coverage, self._grid, xy) / 255.0
        intensity = _INTENSITY[kind[rings, columns]] * rng.gamma(4.0, 0.25, len(rings))
        on_ground = kind[rings, columns] == _GROUND
        intensity = np.where(on_ground, intensity + (_PAINT_INTENSITY - intensity) * paint, intensity)
        points = apply(inverse(map_T_ego), np.column_stack([xy, z]))
        return np.column_stack([points, np.clip(intensity, 0, 255), rings]).astype(np.float32)


class _Cast:
    """Nearest hit of every ray so far: horizontal distance and kind, both rings x columns."""

    def __init__(self, origin: NDArray[np.float64], azimuth: NDArray[np.float64], slope: NDArray[np.float64]) -> None:
        self.origin, self._slope, self._start = origin, slope, float(azimuth[0])
        self.ahead = np.stack([np.cos(azimuth), np.sin(azimuth)], -1)
        self.distance = np.full((RINGS, COLUMNS), REACH_M + 1)
        self.kind = np.zeros((RINGS, COLUMNS), np.int8)

    def xy(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (rings x columns x 2) at horizontal distances."""
        return self.origin[:2] + distance[..., None] * self.ahead

    def wall(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        z: NDArray[np.float64],
        kind: int,
        leak: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        """An upright rectangle; a share `leak` of the rays goes through it."""
        a, b = start - self.origin[:2], end - self.origin[:2]
        columns = self._between(np.arctan2(a[1], a[0]), np.arctan2(b[1], b[0]))
        if not len(columns):
            return
        along, ahead = b - a, self.ahead[columns]
        slanted = ahead[:, 0] * along[1] - ahead[:, 1] * along[0]
        distance = (a[0] * along[1] - a[1] * along[0]) / np.where(np.abs(slanted) < 1e-9, 1e-9, slanted)
        height = self.origin[2] + distance * self._slope
        hit = (distance > 0.5) & (height > z[0]) & (height < z[1]) & (distance < self.distance[:, columns])
        if leak and rng is not None:
            hit &= rng.random(hit.shape) > leak
        rows, picks = np.nonzero(hit)
        self.distance[rows, columns[picks]] = distance[picks]
        self.kind[rows, columns[picks]] = kind

    def roof(self, box: Box) -> None:
        """The top of a box lower than the sensor: steep beams end on it."""
        reach = _down_to(box.height, self.origin[2], self._slope)
        half = np.hypot(box.length, box.width) / 2
        apart = float(np.hypot(box.x - self.origin[0], box.y - self.origin[1]))
        rows = np.nonzero((reach[:, 0] < apart + half) & (reach[:, 0] > apart - half))[0]
        if not len(rows):
            return
        offset = reach[rows, :, None] * self.ahead + self.origin[:2] - (box.x, box.y)
        c, s = np.cos(box.yaw), np.sin(box.yaw)
        along, across = offset @ (c, s), offset @ (-s, c)
        inside = (np.abs(along) < box.length / 2) & (np.abs(across) < box.width / 2)
        hit = inside & (reach[rows] < self.distance[rows])
        picks, columns = np.nonzero(hit)
        self.distance[rows[picks], columns] = reach[rows[picks], 0]
        self.kind[rows[picks], columns] = _BODY

    def _between(self, one: float, other: float) -> NDArray[np.int64]:
        """Columns whose azimuth lies on the shorter way between two bearings."""
        first = (one - self._start) / (2 * np.pi) * COLUMNS
        turn = ((other - one + np.pi) % (2 * np.pi) - np.pi) / (2 * np.pi) * COLUMNS
        low, high = sorted((first, first + turn))
        return np.arange(int(np.ceil(low)), int(np.floor(high)) + 1) % COLUMNS


def _down_to(z: float, origin_z: float, slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Horizontal distance at which descending rays reach the height z; infinite for the others."""
    return np.where(slope < 0, (z - origin_z) / np.minimum(slope, -1e-6), np.inf)


def _looked_up(values: NDArray, grid: BevGrid, xy: NDArray[np.float64]) -> NDArray:
    """Nearest cell's value for map points (..., 2); border values outside."""
    cells = np.round(grid.to_cells(xy)).astype(int)
    x = cells[..., 0].clip(0, grid.shape[1] - 1)
    return values[cells[..., 1].clip(0, grid.shape[0] - 1), x]
