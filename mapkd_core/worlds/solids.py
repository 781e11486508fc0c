# SPDX-License-Identifier: Apache-2.0
"""Scene: everything that stands up from the ground, drawn from far to near over the ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import apply
from mapkd_core.grid import BevGrid
from mapkd_core.worlds import uprights
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.canvas import Canvas
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.kerbs import Kerbs
from mapkd_core.worlds.occluders import Occluders
from mapkd_core.worlds.relief import FLAT, Relief
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.road_users_view import REACH_M, RoadUsersView, Task
from mapkd_core.worlds.roadside import build_roadside
from mapkd_core.worlds.roadside_textures import FACADES
from mapkd_core.worlds.standing import Standing, standing

ROADSIDE_STREAM = 0x50  # of random numbers, beside the world's seed
_BOARD_REACH_M = 65.0
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


class Scene:
    """Static and moving solids of one world."""

    def __init__(
        self,
        road_map: RoadMap,
        area: shapely.MultiPolygon,
        distance: NDArray[np.float32],
        grid: BevGrid,
        look: Look,
        seed: int,
        enabled: bool = True,
        relief: Relief = FLAT,
        dropped: DroppedKerbs | None = None,
    ) -> None:
        rng = np.random.default_rng([seed, ROADSIDE_STREAM])
        self.enabled, self._look, self._seed, self._relief = enabled, look, seed, relief
        self.roadside = build_roadside(distance, grid, road_map.ego, look, rng)
        self._kerbs = Kerbs(area, look, rng, relief=relief, dropped=dropped)
        self._users = RoadUsersView(seed, rng)
        self._now = standing((), relief)
        self._tail, self._tail_colours = _own_tail(rng)
        self._wall_light = self._lit_walls()
        walls = self.roadside.walls
        self._wall_feet = np.stack([relief.height(walls.start), relief.height(walls.end)], -1)
        self._board_feet = relief.height(self.roadside.billboards.foot)

    def static_shadows(self) -> list[tuple[NDArray[np.float64], float]]:
        """Outlines on the ground (V x 2, map metres) and the share of sunlight that each takes."""
        if not self.enabled or self._look.sun <= 0:
            return []
        walls, boards = self.roadside.walls, self.roadside.billboards
        per_metre = self._shadow_per_metre()
        out = []
        for start, end, z in zip(walls.start, walls.end, walls.z, strict=True):
            low, high = z[:, None] * per_metre  # what hangs over the road leaves light below it
            out.append((np.stack([start + low, end + low, end + high, start + high]), 1.0))
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        wobble = 1 + 0.25 * np.sin(3 * angle) * np.cos(5 * angle)
        ring = np.stack([np.cos(angle), np.sin(angle)], -1) * wobble[:, None]
        for foot, (width, height), texture in zip(boards.foot, boards.size, boards.texture, strict=True):
            if 15 <= texture < 21:
                out.append((foot + 0.65 * height * per_metre + ring * width * 0.5, 0.85))
            thin = np.array([-per_metre[1], per_metre[0]]) / max(np.hypot(*per_metre), 1e-6) * 0.1
            tip = foot + height * per_metre
            out.append((np.stack([foot - thin, foot + thin, tip + thin, tip - thin]), 0.9))
        return out

    def draw(
        self,
        image: NDArray[np.uint8],
        K: NDArray[np.float64],
        map_T_camera: NDArray[np.float64],
        map_T_ego: NDArray[np.float64],
        boxes: Sequence[Box],
        kerbs: bool = True,
    ) -> None:
        """Draw onto `image` (H W 3 RGB, changed in place). kerbs: those, too, which hide next to nothing."""
        canvas = Canvas(image, K, map_T_camera, self._look)
        eye = map_T_camera[:2, 3]
        if kerbs:
            self._kerbs.draw(canvas, eye)
        occluders = Occluders(canvas.width, canvas.height)
        todo = self._visible_walls(canvas, eye, occluders) + self._visible_boards(canvas, eye, occluders)
        todo += self._users.tasks(canvas, self._standing(boxes), occluders)
        for _, draw, arguments in sorted(todo, key=lambda entry: -entry[0]):
            draw(*arguments)
        if self._tail is not None:
            canvas.polygons(apply(map_T_ego, self._tail), self._tail_colours)

    def _visible_walls(self, canvas: Canvas, eye: NDArray[np.float64], occluders: Occluders) -> list[Task]:
        walls = self.roadside.walls
        index = canvas.seen((walls.start + walls.end) / 2, 4.0, REACH_M)
        corners = np.empty((len(index), 4, 3))
        corners[:, [0, 3], :2], corners[:, [1, 2], :2] = walls.start[index, None], walls.end[index, None]
        corners[:, :2, 2], corners[:, 2:, 2] = walls.z[index, :1], walls.z[index, 1:]
        corners[:, :, 2] += self._wall_feet[index][:, [0, 1, 1, 0]]
        placed = uprights.place(canvas, corners)
        apart = np.hypot(*(corners[:, :2, :2].mean(axis=1) - eye).T)
        occluders.add(placed, walls.texture[index] < FACADES)
        out: list[Task] = []
        for i in occluders.visible(placed):
            k = index[i]
            texture = self.roadside.textures[walls.texture[k]]
            arguments = (canvas, placed, i, texture, walls.span[k].tolist(), self._wall_light[k])
            out.append((apart[i], uprights.draw_wall, arguments))
        return out

    def _visible_boards(self, canvas: Canvas, eye: NDArray[np.float64], occluders: Occluders) -> list[Task]:
        boards = self.roadside.billboards
        index = canvas.seen(boards.foot, 4.0, _BOARD_REACH_M)
        corners = uprights.facing(boards.foot[index], boards.size[index], self._board_feet[index], canvas.map_T_camera)
        placed = uprights.place(canvas, corners)
        apart = np.hypot(*(boards.foot[index] - eye).T)
        textures = self.roadside.textures
        return [
            (apart[i], uprights.draw_billboard, (canvas, placed, i, textures[boards.texture[index[i]]]))
            for i in occluders.visible(placed)
            if placed.depth[i] > 0.7
        ]

    def draw_shadows(
        self,
        image: NDArray[np.uint8],
        K: NDArray[np.float64],
        map_T_camera: NDArray[np.float64],
        map_T_ego: NDArray[np.float64],
        boxes: Sequence[Box],
    ) -> None:
        """Darken the ground in `image` (H W 3, changed in place) under and behind moving things, the vehicle too."""
        canvas = Canvas(image, K, map_T_camera, self._look)
        forward = map_T_ego[:2, 0]
        own = np.array([*(map_T_ego[:2, 3] + 1.4 * forward), np.arctan2(forward[1], forward[0]), 4.1, 1.7, 1.5])
        rows = np.vstack([own, self._standing(boxes).rows])
        large = np.hypot(*(rows[:, :2] - map_T_camera[:2, 3]).T) < 15 + 10 * rows[:, 5]
        rows = rows[np.intersect1d(canvas.seen(rows[:, :2], 12.0, 45.0), np.nonzero(large)[0])]
        c, s = np.cos(rows[:, 2]), np.sin(rows[:, 2])
        turn = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], 1)
        foot = (_CORNERS * rows[:, None, 3:5]) @ turn
        centre = rows[:, None, :2]
        groups = []
        if self._look.sun > 0:
            top = foot + rows[:, 5, None, None] * self._shadow_per_metre()
            sides = np.stack([foot, np.roll(foot, -1, 1), np.roll(top, -1, 1), top], 2)  # N sides corners 2
            quads = np.concatenate([sides, foot[:, None], top[:, None]], 1) + centre[:, None]
            groups.append((quads.reshape(-1, 4, 2), 1 - 0.95 * self._look.sun))
        others = rows[:, 3] != own[3]
        groups.append((centre[others] + foot[others] * 1.12, 0.5 - 0.3 * self._look.sun))
        canvas.darken([(self._on_ground(outlines), factor) for outlines, factor in groups])

    def _standing(self, boxes: Sequence[Box]) -> Standing:
        """Worked out anew for other boxes only: a rig's cameras ask for the same tuple in turn."""
        boxes = tuple(boxes)  # the same object where it is one already
        if boxes is not self._now.boxes:
            self._now = standing(boxes, self._relief)
        return self._now

    def _on_ground(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (..., 3) of the ground at (..., 2)."""
        return np.concatenate([xy, self._relief.height(xy)[..., None]], -1)

    def _shadow_per_metre(self) -> NDArray[np.float64]:
        x, y, z = self._look.sun_direction
        return -np.array([x, y]) / max(z, 0.12)

    def _lit_walls(self) -> NDArray[np.float64]:
        """Brightness of each wall: its side towards the sun is bright."""
        walls = self.roadside.walls
        along = walls.end - walls.start
        normal = np.stack([-along[:, 1], along[:, 0]], -1) / np.maximum(np.hypot(*along.T), 1e-6)[:, None]
        facing = np.abs(normal @ np.array(self._look.sun_direction[:2]))
        shade = (1 - 0.6 * self._look.sun) + 0.6 * self._look.sun * facing
        return np.where(self._look.sun > 0, shade, 0.85)


def _own_tail(rng: np.random.Generator) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Quads N x 4 x 3 (ego frame) and colours of the boot lid that a rear camera may see at its lower edge."""
    y = np.linspace(-0.85, 0.85, 12)
    edge = -(rng.uniform(0.95, 1.2) - 0.3 * (y / 0.85) ** 2)
    height = rng.uniform(0.98, 1.08)
    rear = np.column_stack([edge, y, np.full(12, height)])
    front = np.column_stack([np.full(12, -0.55), y, np.full(12, height + 0.02)])
    quads = np.stack([rear[:-1], rear[1:], front[1:], front[:-1]], 1)
    colours = rng.uniform(60, 215) * rng.normal(1, 0.03, (11, 1)) * np.array([1.0, 1.0, 1.01])
    return (quads if rng.random() < 0.7 else None), colours.clip(0, 255)
