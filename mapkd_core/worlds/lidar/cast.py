# SPDX-License-Identifier: Apache-2.0
"""Casting all rays of one turn: the nearest hit of every ray, by lists of (surface, column, ring) instead of loops.

A column is a half-plane from the sensor upwards and downwards: surfaces are cut with columns first (a flat list of
pairs), then each pair gives the rings between its lower and its upper edge. All distances are horizontal.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.lidar.sensor import COLUMNS, ELEVATIONS, REACH_M, RING_STEP, RINGS
from mapkd_core.worlds.relief import FLAT, Relief, first_met

Array = NDArray[np.float64]
_FAR = 1e6
_APART = 8  # columns between those along which the relief is looked up
_DISTANCES = np.concatenate([[0.5, 1.0, 2.0, 4.0], np.arange(6.0, 40.0, 2.0), np.geomspace(40.0, REACH_M, 24)])
_NEAREST_M = 0.5  # surfaces nearer than this are the vehicle's own


class Cast:
    """Rays of one turn, and their nearest hits so far: `distance` and `kind`, COLUMNS x RINGS.

    origin: COLUMNS x 3 where the sensor is when the column fires; azimuth: COLUMNS; up: 3, the sensor's axis (all in
    the map frame). relief: of the ground. A tilt of the axis changes each column's elevations; that it also turns rays
    sideways is left out.
    """

    def __init__(self, origin: Array, azimuth: Array, up: Array, relief: Relief = FLAT) -> None:
        self.origin, self._relief = origin, relief
        self.ahead = np.stack([np.cos(azimuth), np.sin(azimuth)], -1)
        self._lean = np.arctan2(-(self.ahead @ up[:2]), up[2])  # what the tilt adds to elevations
        self.slope = np.tan(ELEVATIONS + self._lean[:, None])
        self.distance = np.full((COLUMNS, RINGS), _FAR)
        self.kind = np.zeros((COLUMNS, RINGS), np.int8)
        self._middle = origin.mean(axis=0)
        self._sway = float(np.hypot(*(origin[-1] - origin[0])[:2])) / 2
        self.first_azimuth = float(azimuth.mean() + np.pi)  # where column 0 begins

    def xy(self) -> Array:
        """COLUMNS x RINGS x 2: map points of the hits."""
        return self.origin[:, None, :2] + self.distance[..., None] * self.ahead[:, None]

    def down_to(self, z: float) -> Array:
        """COLUMNS x RINGS: distance at which rays first come down to `z` above the ground; _FAR where they do not."""
        if self._relief.is_flat:
            reach = (z - self.origin[:, None, 2]) / np.minimum(self.slope, -1e-9)
            return np.where((self.slope < 0) & (reach < _FAR), reach, _FAR)
        met = first_met(self._profiles + z / _DISTANCES[:, None], 1 / _DISTANCES, self.slope[::_APART].T)
        closed = np.concatenate([met, met[:, :1]], axis=1)
        at = np.arange(COLUMNS) / _APART
        before, share = at.astype(int), at % 1
        inverse = (closed[:, before] * (1 - share) + closed[:, before + 1] * share).T
        return np.where(inverse > 1 / REACH_M, 1 / np.maximum(inverse, 1 / _FAR), _FAR)

    @cached_property
    def _profiles(self) -> Array:
        """Distances x columns: tangents at which the sensor sees the ground, hidden or not."""
        origin, distance = self.origin[::_APART], _DISTANCES[:, None]
        ground = self._relief.height(origin[:, :2] + distance[..., None] * self.ahead[::_APART])
        return (ground - origin[:, 2]) / distance

    def upright(self, start: Array, end: Array, z: Array, kind: NDArray[np.integer], feet: Array) -> None:
        """Upright rectangles: start and end N x 2, z N x 2 bottom and top above the ground, kind N, feet N x 2."""
        a, b = start - self._middle[:2], end - self._middle[:2]
        near = np.flatnonzero(_from_origin(a, b) < REACH_M)
        start, end, z, kind, feet = start[near], end[near], z[near], kind[near], feet[near]
        item, column = self._columns_between(a[near], b[near])
        ahead, to_start, along = self.ahead[column], start[item] - self.origin[column, :2], (end - start)[item]
        slanted = _cross(ahead, along)
        slanted = np.where(np.abs(slanted) < 1e-9, 1e-9, slanted)
        distance, share = _cross(to_start, along) / slanted, _cross(to_start, ahead) / slanted
        meets = np.flatnonzero((distance > _NEAREST_M) & (distance < REACH_M) & (share >= 0) & (share <= 1))
        item, column, distance, share = item[meets], column[meets], distance[meets], share[meets]
        ground = feet[item, 0] + share * (feet[item, 1] - feet[item, 0]) - self.origin[column, 2]
        pair, flat = self._rings_between(column, (z[item] + ground[:, None]) / distance[:, None])
        self._keep(flat, distance[pair], kind[item[pair]])

    def crowns(self, centre: Array, size: Array, kind: int, depth: float, rng: np.random.Generator) -> None:
        """Leaky ellipsoids: centre N x 3, size N x 2 radius and half height; rays go `depth` metres in on average."""
        away = centre[:, :2] - self._middle[:2]
        across = np.stack([-away[:, 1], away[:, 0]], -1)
        across *= (size[:, :1] + self._sway) / np.maximum(np.hypot(*away.T), 1e-6)[:, None]
        near = np.flatnonzero(np.hypot(*away.T) < REACH_M)
        item, column = self._columns_between((away - across)[near], (away + across)[near])
        item = near[item]
        to_centre = centre[item, :2] - self.origin[column, :2]
        beside, middle = _cross(self.ahead[column], to_centre), (self.ahead[column] * to_centre).sum(-1)
        wide = np.flatnonzero((np.abs(beside) < size[item, 0]) & (middle > _NEAREST_M))
        item, column, beside, middle = item[wide], column[wide], beside[wide], middle[wide]
        edges = centre[item, 2:] + size[item, 1:] * np.array([-1.0, 1.0]) - self.origin[column, 2:]
        pair, flat = self._rings_between(column, edges / middle[:, None])
        z = self.origin[column[pair], 2] + middle[pair] * self.slope.ravel()[flat]
        level = 1 - ((z - centre[item[pair], 2]) / size[item[pair], 1]) ** 2
        half = np.sqrt(np.maximum(size[item[pair], 0] ** 2 * level - beside[pair] ** 2, 0.0))
        inside = rng.exponential(depth, len(pair))
        distance = middle[pair] - half + inside
        stops = (inside < 2 * half) & (distance > _NEAREST_M)
        self._keep(flat[stops], distance[stops], np.full(int(stops.sum()), kind, np.int8))

    def tops(self, boxes: Array, kind: NDArray[np.integer]) -> None:
        """Flat tops below the sensor: boxes N x 6 x y yaw length width z."""
        half = np.hypot(boxes[:, 3], boxes[:, 4]) / 2
        away = boxes[:, :2] - self._middle[:2]
        apart = np.hypot(*away.T)
        low = np.flatnonzero((boxes[:, 5] < self._middle[2] - 0.05) & (apart < REACH_M) & (apart > half + 0.5))
        across = np.stack([-away[low, 1], away[low, 0]], -1) * (half[low] / apart[low])[:, None]
        item, column = self._columns_between(away[low] - across, away[low] + across)
        item = low[item]
        reach = apart[item, None] + (half[item, None] + self._sway) * np.array([-1.0, 1.0])
        pair, flat = self._rings_between(column, (boxes[item, 5:] - self.origin[column, 2:]) / np.maximum(reach, 0.1))
        box, column = boxes[item[pair]], column[pair]
        distance = (box[:, 5] - self.origin[column, 2]) / np.minimum(self.slope.ravel()[flat], -1e-9)
        offset = self.origin[column, :2] + distance[:, None] * self.ahead[column] - box[:, :2]
        c, s = np.cos(box[:, 2]), np.sin(box[:, 2])
        along, across_box = offset[:, 0] * c + offset[:, 1] * s, offset[:, 1] * c - offset[:, 0] * s
        on = (np.abs(along) < box[:, 3] / 2) & (np.abs(across_box) < box[:, 4] / 2)
        self._keep(flat[on], distance[on], kind[item[pair[on]]])

    def _columns_between(self, a: Array, b: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which item meets which column: places relative to the sensor's middle, with room for its motion."""
        bearing = np.arctan2(a[:, 1], a[:, 0])
        turn = (np.arctan2(b[:, 1], b[:, 0]) - bearing + np.pi) % (2 * np.pi) - np.pi
        first = (self.first_azimuth - bearing) / (2 * np.pi) * COLUMNS - 0.5
        last = first - turn / (2 * np.pi) * COLUMNS
        room = self._sway / np.maximum(_from_origin(a, b), 0.5) / (2 * np.pi) * COLUMNS
        low = np.ceil(np.minimum(first, last) - room).astype(int)
        count = np.minimum(np.maximum(np.floor(np.maximum(first, last) + room).astype(int) - low + 1, 0), COLUMNS)
        item, step = _counted(count)
        return item, (low[item] + step) % COLUMNS

    def _rings_between(self, column: NDArray[np.int64], slopes: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which pair meets which ray (flat index), for slopes P x 2 of the lower and the upper edge."""
        rings = (np.arctan(slopes) - self._lean[column, None] - ELEVATIONS[0]) / RING_STEP
        low = np.ceil(rings.min(axis=1)).astype(int).clip(0, RINGS)
        high = np.floor(rings.max(axis=1)).astype(int).clip(-1, RINGS - 1)
        pair, step = _counted(np.maximum(high - low + 1, 0))
        return pair, column[pair] * RINGS + low[pair] + step

    def _keep(self, flat: NDArray[np.int64], distance: Array, kind: NDArray[np.integer]) -> None:
        """Take the hits that are nearer than what each ray has."""
        distances = self.distance.reshape(-1)
        nearer = np.flatnonzero(distance < distances[flat])
        flat, distance, kind = flat[nearer], distance[nearer], kind[nearer]
        np.minimum.at(distances, flat, distance)
        taken = distances[flat] == distance
        self.kind.reshape(-1)[flat[taken]] = kind[taken]


def _counted(count: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[2, 0, 3] -> items [0, 0, 2, 2, 2] and steps [0, 1, 0, 1, 2]."""
    item = np.repeat(np.arange(len(count)), count)
    begins = np.cumsum(count) - count
    return item, np.arange(len(item)) - begins[item]


def _cross(a: Array, b: Array) -> Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _from_origin(a: Array, b: Array) -> Array:
    """Distance of segments a b (N x 2 each) from the origin."""
    along = b - a
    share = -(a * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    return np.hypot(*(a + share.clip(0, 1)[:, None] * along).T)
