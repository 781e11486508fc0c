# SPDX-License-Identifier: Apache-2.0
"""Scene: everything that stands up from the ground, drawn from far to near over the ground."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import inverse
from mapkd_core.grid import BevGrid
from mapkd_core.worlds import sprites, vehicles
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.canvas import Canvas
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.kerbs import Kerbs
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.roadside import build_roadside

_REACH_M = 90.0
_PERSON_KINDS = ("PEDESTRIAN", "CYCLIST")


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
    ) -> None:
        rng = np.random.default_rng([seed, 0x50])
        self.enabled, self._look, self._seed = enabled, look, seed
        self.roadside = build_roadside(distance, grid, road_map.ego, look, rng)
        self._kerbs = Kerbs(area, look, rng)
        self._people = tuple(sprites.levels(sprites.person(rng)) for _ in range(12))
        self._wall_light = self._lit_walls()

    def static_shadows(self) -> list[tuple[NDArray[np.float64], float]]:
        """Outlines on the ground (V x 2, map metres) and the share of sunlight that each takes."""
        if not self.enabled or self._look.sun <= 0:
            return []
        walls, boards = self.roadside.walls, self.roadside.billboards
        per_metre = self._shadow_per_metre()
        out = []
        for start, end, z in zip(walls.start, walls.end, walls.z, strict=True):
            out.append((np.stack([start, end, end + z[1] * per_metre, start + z[1] * per_metre]), 1.0))
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
        boxes: list[Box],
    ) -> None:
        """Draw onto `image` (H W 3 RGB, changed in place)."""
        canvas = Canvas(image, K, inverse(map_T_camera), self._look)
        eye = map_T_camera[:2, 3]
        near_boxes = [b for b in boxes if 1.5 < np.hypot(b.x - eye[0], b.y - eye[1]) < _REACH_M]
        self._moving_shadows(canvas, near_boxes, map_T_ego)
        self._kerbs.draw(canvas, eye)
        todo = [(np.hypot(b.x - eye[0], b.y - eye[1]), self._draw_box, b) for b in near_boxes]
        walls, boards = self.roadside.walls, self.roadside.billboards
        middle = (walls.start + walls.end) / 2
        for i in canvas.seen(middle, 4.0, _REACH_M):
            todo.append((np.hypot(*(middle[i] - eye)), self._draw_wall, i))
        for i in canvas.seen(boards.foot, 4.0, _REACH_M):
            todo.append((np.hypot(*(boards.foot[i] - eye)), self._draw_board, i))
        for _, draw, item in sorted(todo, key=lambda entry: -entry[0]):
            draw(canvas, item)

    def _draw_wall(self, canvas: Canvas, i: int) -> None:
        walls = self.roadside.walls
        texture = self.roadside.textures[walls.texture[i]]
        canvas.wall(walls.start[i], walls.end[i], walls.z[i], texture, walls.span[i], self._wall_light[i])

    def _draw_board(self, canvas: Canvas, i: int) -> None:
        boards = self.roadside.billboards
        canvas.billboard(boards.foot[i], boards.size[i], self.roadside.textures[boards.texture[i]])

    def _draw_box(self, canvas: Canvas, box: Box) -> None:
        if box.kind in _PERSON_KINDS:
            pick = int(box.length * 1000 + box.height * 777 + self._seed) % len(self._people)
            canvas.billboard(np.array([box.x, box.y]), np.array([max(0.7, box.width), box.height]), self._people[pick])
            return
        corners, colours = vehicles.quads(box, self._seed)
        c, s = np.cos(box.yaw), np.sin(box.yaw)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        canvas.quads(corners @ turn.T + (box.x, box.y, 0.0), colours)

    def _moving_shadows(self, canvas: Canvas, boxes: list[Box], map_T_ego: NDArray[np.float64]) -> None:
        forward = map_T_ego[:2, 0]
        own = Box("VEHICLE", 4.1, 1.7, 1.5, *(map_T_ego[:2, 3] + 1.4 * forward), np.arctan2(forward[1], forward[0]))
        for box in [own, *boxes]:
            c, s = np.cos(box.yaw), np.sin(box.yaw)
            signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
            foot = signs * (box.length, box.width) @ np.array([[c, s], [-s, c]]) + (box.x, box.y)
            if self._look.sun > 0:
                top = foot + box.height * self._shadow_per_metre()
                hull = cv2.convexHull(np.concatenate([foot, top]).astype(np.float32))[:, 0]
                canvas.darken(hull, 1 - self._look.sun * 0.95)
            if box is not own:
                canvas.darken(foot + (foot - (box.x, box.y)) * 0.12, 0.55)

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
