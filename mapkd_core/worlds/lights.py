# SPDX-License-Identifier: Apache-2.0
"""Lamps of a world in the dark: street lamps, headlights and tail lights, where they are and what they light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.moment import Moment
from mapkd_core.worlds.roadside import Roadside

LAMP_TEXTURE = 21  # of roadside.build_roadside
_ARM = 0.44  # the lamp hangs this share of its picture's width right of the post
_REACH_M, _VEHICLES_HIDE_M = 90.0, 45.0
_SODIUM, _WHITE = (1.0, 0.72, 0.42), (0.93, 0.97, 1.0)
_BEAM, _TAIL = (1.0, 0.97, 0.88), (1.0, 0.10, 0.06)
_PARKED_LIT = 0.08  # share of standing vehicles with their lights on


class Sources(NamedTuple):
    """N lamps: place N x 3 (map frame), colour N x 3 (0..1), power N (1: a headlight from ahead)."""

    place: NDArray[np.float64]
    colour: NDArray[np.float64]
    power: NDArray[np.float64]


class Lights:
    """Lamps of one world. They are on from dusk; in rain vehicles alone are lit."""

    def __init__(self, look: Look, beside: Roadside, seed: int) -> None:
        rng = np.random.default_rng([seed, 0x1A])
        self._vehicles_lit = look.light in ("night", "dusk", "rain")
        boards = beside.billboards
        lamps = np.flatnonzero(boards.texture == LAMP_TEXTURE)
        on = look.light in ("night", "dusk") and rng.random() < 0.85
        lamps = lamps[(rng.random(len(lamps)) < 0.9) & on]
        self._foot, self._size = boards.foot[lamps], boards.size[lamps]
        self._street = np.array(_SODIUM if rng.random() < 0.5 else _WHITE) * rng.normal(1, 0.03, 3)
        self._street_power = rng.uniform(0.25, 0.6)
        self._pool = rng.uniform(0.5, 2.5)
        self._seed = seed

    def sources(self, moment: Moment, map_T_camera: NDArray[np.float64]) -> Sources:
        """Lamps within reach that shine towards the camera; what stands between is not looked at here."""
        eye = map_T_camera[:3, 3]
        right = map_T_camera[:2, 0] / np.hypot(*map_T_camera[:2, 0])
        near = np.hypot(*(self._foot - eye[:2]).T) < _REACH_M
        foot, size = self._foot[near], self._size[near]
        street = np.column_stack([foot + _ARM * size[:, :1] * right, 0.98 * size[:, 1]])
        place, colour, power = [street], [np.tile(self._street, (len(street), 1))], [np.full(len(street), 1.0)]
        power[0] *= self._street_power
        for ahead, tint, strength in ((1, _BEAM, 1.0), (-1, _TAIL, 0.10)):
            at, faces = self._ends(moment, ahead)
            towards = eye[:2] - at[:, :2]
            apart = np.maximum(np.hypot(*towards.T), 1.0)
            aim = (towards * faces).sum(axis=1) / apart
            seen = np.flatnonzero((aim > 0.1) & (apart < _REACH_M))
            place.append(at[seen])
            colour.append(np.tile(tint, (len(seen), 1)))
            # Dipped beams are many times brighter straight ahead than to the sides.
            power.append(strength * (0.15 + 0.85 * aim[seen] ** 24 if ahead > 0 else aim[seen]))
        return Sources(np.concatenate(place), np.concatenate(colour), np.concatenate(power))

    def on_ground(self, xy: NDArray[np.float64], moment: Moment) -> NDArray[np.float64]:
        """Light on ground points ... x 2 (map metres) as ... x 3: pools below street lamps, beams ahead of vehicles."""
        out = np.zeros((*xy.shape[:-1], 3))
        flat = xy.reshape(-1, 2)
        middle = flat.mean(axis=0)
        near = np.flatnonzero(np.hypot(*(self._foot - middle).T) < 60.0)
        height = self._size[near, 1]
        apart = ((flat[:, None] - self._foot[near]) ** 2).sum(axis=-1) / height**2
        # A lamp at height h that shines evenly: h^3 / (h^2 + d^2)^(3/2) of the light straight below it.
        pools = ((1 + apart) ** -1.5).sum(axis=1) * self._pool
        out += (pools[:, None] * self._street).reshape(out.shape)
        at, faces = self._ends(moment, 1)
        at, faces = at[::2], faces[::2]  # one of each pair
        near = np.flatnonzero(np.hypot(*(at[:, :2] - middle).T) < 60.0)
        offset = flat[:, None] - at[near, :2]
        along = (offset * faces[near]).sum(axis=-1)
        across = offset[..., 0] * faces[near, 1] - offset[..., 1] * faces[near, 0]
        beam = np.exp(-((across / (1.2 + 0.25 * np.abs(along))) ** 2) - np.maximum(along, 0) / 12.0) * (along > 0.3)
        return out + (2.0 * beam.sum(axis=1)[:, None] * np.array(_BEAM)).reshape(out.shape)

    def _ends(self, moment: Moment, ahead: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lamps at the front (1) or the back (-1) of lit vehicles: places 2 N x 3, and where they face 2 N x 2."""
        rows = moment.vehicles if self._vehicles_lit else np.zeros((0, 7))
        rows = rows[(rows[:, 6] == rows[:, 6]) | self._parked_lit(rows[:, 3])]
        ahead_xy = ahead * np.stack([np.cos(rows[:, 2]), np.sin(rows[:, 2])], -1)
        left_xy = np.stack([-ahead_xy[:, 1], ahead_xy[:, 0]], -1)
        z = np.where(rows[:, 5] < 2.3, 0.68, 0.95)
        ends = rows[:, :2] + ahead_xy * rows[:, 3:4] / 2
        pair = [np.column_stack([ends + side * rows[:, 4:5] * left_xy, z]) for side in (-0.4, 0.4)]
        return np.stack(pair, 1).reshape(-1, 3), np.repeat(ahead_xy, 2, axis=0)

    def _parked_lit(self, length: NDArray[np.float64]) -> NDArray[np.bool_]:
        return (length * 7919.0 + self._seed * 0.618) % 1.0 < _PARKED_LIT


def open_to(
    eye: NDArray[np.float64], places: NDArray[np.float64], beside: Roadside, moment: Moment
) -> NDArray[np.bool_]:
    """Which of `places` (N x 3) the eye sees past the walls beside the road and past other vehicles."""
    walls = beside.walls
    rows = moment.vehicles
    apart = np.hypot(*(rows[:, :2] - eye[:2]).T)
    rows = rows[(apart > 1.5) & (apart < _VEHICLES_HIDE_M)]
    ahead = np.stack([np.cos(rows[:, 2]), np.sin(rows[:, 2])], -1)
    # Each vehicle is a cross inside its box, so that its own lamps lie outside.
    halves = np.concatenate([0.45 * rows[:, 3:4] * ahead, 0.42 * rows[:, 4:5] * ahead[:, ::-1] * (-1, 1)])
    middles, heights = np.tile(rows[:, :2], (2, 1)), np.tile(rows[:, 5], 2)
    near = np.hypot(*((walls.start + walls.end) / 2 - eye[:2]).T) < _REACH_M
    a = np.concatenate([walls.start[near], middles - halves]) - eye[:2]
    b = np.concatenate([walls.end[near], middles + halves]) - eye[:2]
    z = np.concatenate([walls.z[near], np.stack([0 * heights, heights], -1)])
    ray, along = places[:, None, :2] - eye[:2], b - a
    cross = ray[..., 0] * along[:, 1] - ray[..., 1] * along[:, 0]
    cross = np.where(np.abs(cross) < 1e-9, 1e-9, cross)
    share = (a[:, 0] * along[:, 1] - a[:, 1] * along[:, 0]) / cross  # of the way to the place
    on_wall = (a[:, 0] * ray[..., 1] - a[:, 1] * ray[..., 0]) / cross
    height = eye[2] + share * (places[:, 2:] - eye[2])
    hit = (share > 0.01) & (share < 0.99) & (on_wall >= 0) & (on_wall <= 1) & (height > z[:, 0]) & (height < z[:, 1])
    return ~hit.any(axis=1)
