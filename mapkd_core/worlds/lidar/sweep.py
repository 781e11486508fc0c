# SPDX-License-Identifier: Apache-2.0
"""Lidar: sweeps of one rendered world, column by column while the vehicle and everybody else move on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import Matrix, apply, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.lidar import returns, surfaces
from mapkd_core.worlds.lidar.cast import Cast
from mapkd_core.worlds.lidar.ground import Ground, looked_up
from mapkd_core.worlds.lidar.join import Sweep, join_sweeps
from mapkd_core.worlds.lidar.sensor import (
    BLIND_M,
    ELEVATIONS,
    MOUNT,
    REACH_M,
    RINGS,
    TURN_S,
    azimuths,
    offsets_s,
    own_roof,
)  # fmt: skip
from mapkd_core.worlds.lidar.surfaces import Kind
from mapkd_core.worlds.relief import FLAT, Relief
from mapkd_core.worlds.roadside import Roadside
from mapkd_core.worlds.roadside_textures import FACADES

PoseAt = Callable[[float], Matrix]
BoxesAt = Callable[[float], Sequence[Box]]
_SECTORS = 4  # parts of a turn for which others are drawn where they are by then
_LEAF_DEPTH_M = 0.9  # how far a ray gets into a tree on average


class Lidar:
    """Casts sweeps into one world; the same world, seed and time give the same sweep.

    area: the road, map frame; beside it the ground is `kerb_height_m` higher. coverage: Y X uint8 over `grid` (map
    frame), 255 where paint covers the road. wet: 0..1, water on the ground. ego_T_lidar: 4x4 mounting.
    dropped: where kerbs sink to the road's level.
    relief: what everything stands on; the poses of the sweeps must lie on it.
    """

    def __init__(
        self,
        roadside: Roadside,
        area: shapely.MultiPolygon,
        coverage: NDArray[np.uint8],
        grid: BevGrid,
        kerb_height_m: float,
        *,
        seed: int = 0,
        wet: float = 0.0,
        ego_T_lidar: Matrix = MOUNT,
        relief: Relief = FLAT,
        dropped: DroppedKerbs | None = None,
    ) -> None:
        self._relief = relief
        self._coverage, self._grid = coverage, grid
        self._wet, self._seed, self._ego_T_lidar = wet, seed, ego_T_lidar
        self._boards = roadside.billboards
        self._static = surfaces.joined(
            surfaces.walls(roadside, FACADES, relief), surfaces.kerbs(area, kerb_height_m, relief, dropped)
        )
        self._crowns = surfaces.crowns(self._boards, relief)
        self._board_feet = relief.height(self._boards.foot)
        self._ground = Ground(area if dropped is None else dropped.level_ground(area), kerb_height_m, seed)
        self._own_roof = own_roof(ego_T_lidar)
        self._bias = np.random.default_rng([seed, 0x11DA]).normal(0, returns.RING_BIAS_M, RINGS)

    def sweep(self, pose_at: PoseAt, boxes_at: BoxesAt, time_s: float) -> Sweep:
        """The turn that ends at `time_s`. pose_at: seconds -> map_T_ego 4x4; boxes_at: seconds -> who is where."""
        rng = np.random.default_rng([self._seed, round(time_s * 1e6) & 0xFFFFFFFF, 0x11DA])
        map_T_ego = pose_at(time_s)
        origin, azimuth = self._way(pose_at(time_s - TURN_S), map_T_ego)
        cast = Cast(origin, azimuth, (map_T_ego @ self._ego_T_lidar)[:3, 2], self._relief)
        self._ground.cast(cast)
        middle = origin.mean(axis=0)
        sides, tops, kinds = surfaces.bodies(self._road_users(cast, boxes_at, time_s, middle), self._relief)
        trunks = surfaces.trunks(self._boards, middle[:2], self._board_feet)
        cast.upright(*surfaces.joined(self._static, trunks, sides))
        cast.crowns(*self._crowns, Kind.PLANT, _LEAF_DEPTH_M, rng)
        cast.tops(tops, kinds)
        own = self._own_roof < cast.distance
        cast.distance[own], cast.kind[own] = self._own_roof[own], Kind.OWN_ROOF
        return Sweep(self._points(cast, map_T_ego, rng), map_T_ego, time_s)

    def joined(self, pose_at: PoseAt, boxes_at: BoxesAt, time_s: float, sweeps: int = 1) -> NDArray[np.float32]:
        """P x 6 (see `Sweep.points`): the last `sweeps` turns up to `time_s` in the ego frame of `time_s`."""
        if sweeps < 1:
            raise ValueError(f"sweeps = {sweeps}; need at least 1 (10 are half a second)")
        turns = [self.sweep(pose_at, boxes_at, time_s - TURN_S * i) for i in range(sweeps)]
        return join_sweeps(turns, turns[0].map_T_ego, time_s)

    def _way(self, first: Matrix, last: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the sensor is (COLUMNS x 3) and where it looks (COLUMNS) in the map while it turns."""
        share = 1 + offsets_s() / TURN_S
        begin, end = ((pose @ self._ego_T_lidar)[:3, 3] for pose in (first, last))
        yaw, yaw_end = (np.arctan2(pose[1, 0], pose[0, 0]) for pose in (first, last))
        yaw += share * ((yaw_end - yaw + np.pi) % (2 * np.pi) - np.pi)
        return begin + share[:, None] * (end - begin), azimuths() + yaw

    def _road_users(self, cast: Cast, boxes_at: BoxesAt, time_s: float, middle: NDArray[np.float64]) -> list[Box]:
        """Others within reach where they are while their sector of the turn is scanned."""
        found: list[Box] = []
        for sector in range(_SECTORS):
            boxes = boxes_at(time_s - TURN_S * (1 - (sector + 0.5) / _SECTORS))
            away = np.array([box[4:6] for box in boxes], np.float64).reshape(-1, 2) - middle[:2]
            turned = (cast.first_azimuth - np.arctan2(away[:, 1], away[:, 0])) % (2 * np.pi)
            scanned = (turned / (2 * np.pi) * _SECTORS).astype(int) == sector
            found += [boxes[i] for i in np.flatnonzero(scanned & (np.hypot(*away.T) < REACH_M))]
        return found

    def _points(self, cast: Cast, map_T_ego: Matrix, rng: np.random.Generator) -> NDArray[np.float32]:
        flat = np.flatnonzero(cast.distance < REACH_M)
        distance, kind, slope = cast.distance.ravel()[flat], cast.kind.ravel()[flat], cast.slope.ravel()[flat]
        steep = np.sqrt(1 + slope * slope)
        slant = distance * steep
        on_ground = (kind == Kind.ROAD) | (kind == Kind.PAVEMENT)
        paint = np.zeros(len(flat))
        road = np.flatnonzero(kind == Kind.ROAD)
        column = flat[road] // RINGS
        xy = cast.origin[column, :2] + distance[road, None] * cast.ahead[column]
        paint[road] = looked_up(self._coverage, self._grid, xy) / 255.0
        cosine = np.where(on_ground, np.abs(slope) / steep, 0.7)
        chance = returns.answers(kind, slant, cosine, paint, self._wet)
        keep = np.flatnonzero((rng.random(len(flat)) < chance) & (slant > BLIND_M))
        column, ring, kind = flat[keep] // RINGS, flat[keep] % RINGS, kind[keep]
        error = rng.normal(0, returns.NOISE_M, len(keep)) + self._bias[ring]
        distance = distance[keep] + error * np.cos(ELEVATIONS)[ring]
        xyz = cast.origin[column]
        xyz[:, :2] += distance[:, None] * cast.ahead[column]
        xyz[:, 2] += distance * slope[keep]
        intensity = returns.intensities(kind, paint[keep], self._wet, rng)
        xyz = apply(inverse(map_T_ego), xyz)
        return np.column_stack([xyz, intensity, ring, offsets_s()[column]]).astype(np.float32)
