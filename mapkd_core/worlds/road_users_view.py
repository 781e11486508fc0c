# SPDX-License-Identifier: Apache-2.0
"""Road users in a picture: vehicles as lit quads, people as billboards, hidden and tiny ones left out."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import sprites, uprights, vehicles
from mapkd_core.worlds.canvas import NEAR_M, SHIFT, Canvas
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.occluders import Occluders
from mapkd_core.worlds.standing import Standing

REACH_M = 90.0
_DETAIL_M = 28.0  # vehicles farther away go without wheels and lamps
_OWN_M = 1.5  # a camera this near to a box's middle is inside it
Task = tuple[float, Any, tuple[Any, ...]]  # metres away, what draws it, its arguments


class _Mesh(NamedTuple):
    """Quads Q x 4 x 3 of one road user in its own frame, unit normals Q x 3, colours Q x 3."""

    corners: NDArray[np.float64]
    normals: NDArray[np.float64]
    colours: NDArray[np.float64]


class RoadUsersView:
    """Draws the road users of one world. rng: of the people's looks; seed: of the vehicles'."""

    def __init__(self, seed: int, rng: np.random.Generator) -> None:
        self._seed = seed
        self._people = tuple(sprites.levels(sprites.person(rng)) for _ in range(12))
        self._meshes: dict[tuple[str, float, float, float], _Mesh] = {}

    def tasks(self, canvas: Canvas, users: Standing, occluders: Occluders) -> list[Task]:
        """What there is to draw in this picture, in no order."""
        eye = canvas.map_T_camera[:2, 3]
        radius = np.hypot(users.rows[:, 3], users.rows[:, 4]) * 0.6 + 0.4
        index = canvas.seen(users.rows[:, :2], radius, REACH_M)
        apart = np.hypot(*(users.rows[:, :2] - eye).T)
        index = index[apart[index] > _OWN_M]
        people, others = index[users.is_person[index]], index[~users.is_person[index]]
        others = others[occluders.visible(uprights.place(canvas, users.corners[others]))]
        return self._tasks_people(canvas, users, people, apart, occluders) + self._tasks_bodies(
            canvas, users, others, apart
        )

    def _tasks_people(
        self,
        canvas: Canvas,
        users: Standing,
        index: NDArray[np.int64],
        apart: NDArray[np.float64],
        occluders: Occluders,
    ) -> list[Task]:
        size = np.column_stack([np.maximum(0.7, users.rows[index, 4]), users.rows[index, 5]])
        corners = uprights.facing(users.place[index, :2], size, users.place[index, 2], canvas.map_T_camera)
        placed = uprights.place(canvas, corners)
        out: list[Task] = []
        for i in occluders.visible(placed):
            box = users.boxes[index[i]]
            pick = int(box.length * 1000 + box.height * 777 + self._seed) % len(self._people)
            out.append((apart[index[i]], uprights.draw_billboard, (canvas, placed, i, self._people[pick])))
        return out

    def _tasks_bodies(
        self, canvas: Canvas, users: Standing, index: NDArray[np.int64], apart: NDArray[np.float64]
    ) -> list[Task]:
        if not len(index):
            return []
        meshes = [self._mesh(users.boxes[i], apart[i] <= _DETAIL_M) for i in index]
        corners, normals, colours = (np.concatenate(parts) for parts in zip(*meshes, strict=True))
        owner = np.repeat(np.arange(len(index)), [len(mesh.corners) for mesh in meshes])
        turn, place = users.map_R_box[index], users.place[index]
        eye = ((canvas.map_T_camera[:3, 3] - place)[:, None] @ turn)[:, 0]  # in each one's own frame
        facing = np.flatnonzero(((corners[:, 0] - eye[owner]) * normals).sum(axis=1) < 0)
        owner = owner[facing]
        lit = canvas.light((turn[owner] @ normals[facing, :, None])[..., 0])
        points = canvas.camera_points(corners[facing] @ turn[owner].transpose(0, 2, 1) + place[owner, None])
        depth = canvas.camera_points(place + users.rows[index, 5:] * (0.0, 0.0, 0.5))[:, 2]
        shown = canvas.hazed(colours[facing] * lit[:, None], np.maximum(depth, 1.0)[owner, None])
        whole = points[..., 2].min(axis=1) >= NEAR_M
        fixed = canvas.fixed(canvas.pixels(np.where(whole[:, None, None], points, 1.0)))
        quads = (list(fixed), points, shown.tolist(), whole.tolist())
        begins = np.searchsorted(owner, np.arange(len(index) + 1)).tolist()
        return [(apart[k], _fill, (canvas, quads, begins[i], begins[i + 1])) for i, k in enumerate(index)]

    def _mesh(self, box: Box, near: bool) -> _Mesh:
        key = (box.kind, box.length, box.width, box.height)
        if key not in self._meshes:
            corners, colours = vehicles.quads(box, self._seed)
            a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
            normals = a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]
            normals /= np.maximum(np.sqrt((normals * normals).sum(axis=1)), 1e-9)[:, None]
            self._meshes[key] = _Mesh(corners, normals, colours)
        mesh = self._meshes[key]
        if near or len(mesh.corners) <= vehicles.DETAILS:
            return mesh
        return _Mesh(*(part[: -vehicles.DETAILS] for part in mesh))


def _fill(canvas: Canvas, quads: tuple[Any, ...], first: int, last: int) -> None:
    """Fill quads first..last in order; those that reach behind the near plane are cut."""
    fixed, points, colours, whole = quads
    for i in range(first, last):
        if whole[i]:
            cv2.fillConvexPoly(canvas.image, fixed[i], colours[i], cv2.LINE_8, SHIFT)
        else:
            canvas.polygon(points[i], colours[i])
