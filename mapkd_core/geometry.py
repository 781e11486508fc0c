# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms and pinhole projection. `a_T_b` maps points of b to a; quaternions are x y z w."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

_SMALL_TURN = 1e-9  # radians: far below what any pose knows


def transform(rotation: ArrayLike, translation: ArrayLike) -> Matrix:
    """4x4 from a 3x3 rotation and a translation in metres."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def planar(x: float, y: float, yaw: float) -> Matrix:
    """4x4 of a pose on the ground: metres and radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return transform([[c, -s, 0], [s, c, 0], [0, 0, 1]], [x, y, 0])


def from_euler(roll: float, pitch: float, yaw: float) -> Matrix:
    """3x3 rotation Rz(yaw) Ry(pitch) Rx(roll), radians."""
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    rz = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    ry = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    rx = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return rz @ ry @ rx


def inverse(a_T_b: ArrayLike) -> Matrix:
    """b_T_a of a rigid a_T_b."""
    m = np.asarray(a_T_b, np.float64)
    return transform(m[:3, :3].T, -m[:3, :3].T @ m[:3, 3])


def apply(a_T_b: ArrayLike, points_b: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) of b in a."""
    m = np.asarray(a_T_b, np.float64)
    return np.asarray(points_b, np.float64) @ m[:3, :3].T + m[:3, 3]


def apply_planar(a_T_b: ArrayLike, xy_b: ArrayLike) -> NDArray[np.float64]:
    """Ground points (..., 2) of b in a, for poses without pitch and roll."""
    m = np.asarray(a_T_b, np.float64)
    return np.asarray(xy_b, np.float64) @ m[:2, :2].T + m[:2, 3]


def project(
    points_ego: ArrayLike, K: ArrayLike, ego_T_camera: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ego points (..., 3) -> pixels (..., 2) u v and depth (...) in metres; depth <= 0 lies behind the camera."""
    points = apply(inverse(ego_T_camera), points_ego)
    depth = points[..., 2]
    safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    homogeneous = points @ np.asarray(K, np.float64).T
    return homogeneous[..., :2] / safe[..., None], depth


def interpolate(first: Matrix, second: Matrix, share: float) -> Matrix:
    """a_T_b at `share` of the way between two: straight in place, evenly turning (slerp); beyond 0..1 it goes on so."""
    begin = first[:3, :3]
    axis, angle = _turn(begin.T @ second[:3, :3])
    return transform(begin @ _turned(axis, share * angle), (1 - share) * first[:3, 3] + share * second[:3, 3])


def _turn(rotation: Matrix) -> tuple[list[float], float]:
    """Unit axis and angle in 0..pi. In plain numbers: numpy takes many times as long for so few."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    twice = (zy - yz, xz - zx, yx - xy)  # axis times 2 sin(angle)
    length = math.hypot(*twice)
    angle = math.atan2(length, xx + yy + zz - 1)
    if length > _SMALL_TURN:
        return [part / length for part in twice], angle
    if angle < 1:
        return [0.0, 0.0, 1.0], 0.0
    quaternion = rotation_to_quaternion(rotation)[:3]  # half a turn: the axis does not show in the differences
    return (quaternion / np.linalg.norm(quaternion)).tolist(), angle


def _turned(axis: list[float], angle: float) -> Matrix:
    """3x3 of a turn about a unit axis (Rodrigues)."""
    x, y, z = axis
    s, c = math.sin(angle), math.cos(angle)
    d = 1 - c
    return np.array(
        [
            [c + d * x * x, d * x * y - s * z, d * x * z + s * y],
            [d * x * y + s * z, c + d * y * y, d * y * z - s * x],
            [d * x * z - s * y, d * y * z + s * x, c + d * z * z],
        ]
    )


def rotation_to_quaternion(rotation: ArrayLike) -> NDArray[np.float64]:
    """3x3 -> x y z w, w >= 0 (the eigenvector method: stable for every rotation)."""
    r = np.asarray(rotation, np.float64)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = r
    k = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(k)
    q = vectors[:, -1]
    return q if q[3] >= 0 else -q


def quaternion_to_rotation(quaternion_xyzw: Iterable[float]) -> Matrix:
    """x y z w (normalised here) -> 3x3."""
    q = [float(part) for part in quaternion_xyzw]
    norm = math.hypot(*q)  # of four numbers: plain Python, as it is asked of every pose that a vehicle sends
    if not math.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"not a rotation: quaternion x y z w = {q}; send a unit quaternion")
    x, y, z, w = (part / norm for part in q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
