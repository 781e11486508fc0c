# SPDX-License-Identifier: Apache-2.0
"""Road users where they stand at an instant, worked out once for all cameras of a rig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.relief import Relief

PERSON_KINDS = ("PEDESTRIAN", "CYCLIST")
_CORNERS = np.array([[x, y, z] for z in (0.0, 1.0) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))])
_ROOM = np.array([1.02, 1.3, 1.02])  # mirrors and plates stick out of the box


@dataclass(frozen=True)
class Standing:
    """N road users. rows: N x 6 x y yaw length width height; is_person: N.

    map_R_box: N x 3 x 3, tangent on the ground; place: N x 3, map point on the ground in their middle; corners: N x 8 x
    3, map points that hold all that is drawn of them.
    """

    boxes: tuple[Box, ...]
    rows: NDArray[np.float64]
    is_person: NDArray[np.bool_]
    map_R_box: NDArray[np.float64]
    place: NDArray[np.float64]
    corners: NDArray[np.float64]


def standing(boxes: Sequence[Box], relief: Relief) -> Standing:
    """The road users of an instant on the relief."""
    rows = np.array([box[1:] for box in boxes], np.float64).reshape(-1, 6)[:, [3, 4, 5, 0, 1, 2]]
    is_person = np.array([box.kind in PERSON_KINDS for box in boxes], bool)
    place = np.column_stack([rows[:, :2], relief.height(rows[:, :2])])
    turn = _tangent(rows[:, 2], relief.gradient(rows[:, :2]))
    local = _CORNERS * (rows[:, None, 3:] * _ROOM)
    corners = local @ turn.transpose(0, 2, 1) + place[:, None]
    return Standing(tuple(boxes), rows, is_person, turn, place, corners)


def _tangent(yaw: NDArray[np.float64], slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """N x 3 x 3 rotations as of `Relief.lifted`: z across the ground, x at the heading `yaw` seen from above."""
    c, s = np.cos(yaw), np.sin(yaw)
    x = np.stack([c, s, c * slope[:, 0] + s * slope[:, 1]], -1)
    x /= np.sqrt((x * x).sum(-1, keepdims=True))
    z = np.column_stack([-slope, np.ones(len(slope))])
    z /= np.sqrt((z * z).sum(-1, keepdims=True))
    y = z[:, [1, 2, 0]] * x[:, [2, 0, 1]] - z[:, [2, 0, 1]] * x[:, [1, 2, 0]]
    return np.stack([x, y, z], -1)
