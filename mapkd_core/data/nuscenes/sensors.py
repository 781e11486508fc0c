# SPDX-License-Identifier: Apache-2.0
"""Records of nuScenes' tables to matrices, pictures and points, checked where they enter.

nuScenes' quaternions are w x y z. An ego pose belongs to one capture of one sensor, so cameras of one sample have
poses of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.calibration import intrinsics, numbers
from mapkd_core.data.reduced import Reduction, decode, whole
from mapkd_core.geometry import Matrix, apply, inverse, quaternion_to_rotation, transform
from mapkd_core.types import Camera
from mapkd_core.worlds.lidar.join import Sweep, join_sweeps

Read = Callable[[str], bytes]  # file name as the tables have it -> its bytes
LIDAR_BYTES = 20  # float32 x y z intensity ring


def pose(record: dict[str, Any], where: str) -> Matrix:
    """4x4 of a record with translation and rotation; ValueError, naming table and token, for NaN and zero rotations."""
    name = f"{where} record {record['token']}"
    translation = numbers(record["translation"], f"{name}: translation")
    rotation = numbers(record["rotation"], f"{name}: rotation")
    if translation.shape != (3,) or rotation.shape != (4,):
        raise ValueError(f"{name}: translation has shape {translation.shape}, rotation {rotation.shape}; want 3 and 4")
    try:
        return transform(quaternion_to_rotation(np.roll(rotation, -1)), translation)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def poses(tables: Any, captured: dict[str, Any]) -> tuple[Matrix, Matrix]:
    """(map_T_ego at the capture, ego_T_sensor) of a sample_data record."""
    ego = tables.get("ego_pose", captured["ego_pose_token"])
    mounted = tables.get("calibrated_sensor", captured["calibrated_sensor_token"])
    return pose(ego, "ego_pose.json"), pose(mounted, "calibrated_sensor.json")


def camera(
    tables: Any, captured: dict[str, Any], map_T_ego: Matrix, read: Read, reduction: Reduction = whole
) -> Camera:
    """A key frame's picture, with the camera where it was at its own capture, seen from the ego pose `map_T_ego`."""
    map_T_then, ego_T_sensor = poses(tables, captured)
    where = f"calibrated_sensor.json record {captured['calibrated_sensor_token']}"
    K = intrinsics(tables.get("calibrated_sensor", captured["calibrated_sensor_token"])["camera_intrinsic"], where)
    width, height = int(captured["width"]), int(captured["height"])
    try:
        picture = decode("", read(captured["filename"]), reduction)
    except ValueError as error:
        raise ValueError(f"{captured['filename']}: {error}; copy it from the dataset again") from error
    if picture.size != (width, height):
        raise ValueError(
            f"{captured['filename']}: {picture.size[0]} x {picture.size[1]} pixels, sample_data.json says "
            f"{width} x {height}; copy it from the dataset again"
        )
    ego_T_camera = inverse(map_T_ego) @ map_T_then @ ego_T_sensor
    placed = Camera(captured["channel"], None, K, ego_T_camera, width, height, captured["timestamp"] * 1000)
    return picture.of(placed)


def points(tables: Any, captured: dict[str, Any], map_T_ego: Matrix, read: Read, sweeps: int) -> NDArray[np.float32]:
    """P x 6 float32: x y z in the ego frame of `map_T_ego`, intensity, ring, seconds from the key frame (0 or less).

    sweeps: turns of the LiDAR, the key frame's and those before it, moved by the vehicle's motion in between.
    """
    turns: list[Sweep] = []
    time_s = captured["timestamp"] * 1e-6
    while len(turns) < sweeps:
        map_T_then, ego_T_sensor = poses(tables, captured)
        rows = lidar_rows(read(captured["filename"]), captured["filename"]).copy()
        rows[:, :3] = apply(ego_T_sensor, rows[:, :3])
        turns.append(Sweep(rows, map_T_then, captured["timestamp"] * 1e-6 - time_s))
        if not captured["prev"]:
            break
        captured = tables.get("sample_data", captured["prev"])
    return join_sweeps(turns, map_T_ego, 0.0)


def lidar_rows(raw: bytes, name: str | Path) -> NDArray[np.float32]:
    """P x 5 of a LIDAR_TOP file; ValueError where it is cut off or holds NaN."""
    if len(raw) % LIDAR_BYTES or not raw:
        raise ValueError(
            f"{name}: {len(raw)} bytes are not rows of {LIDAR_BYTES} bytes; copy it from the dataset again"
        )
    rows = np.frombuffer(raw, "<f4").reshape(-1, 5)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name}: NaN or infinity in row {int(np.argmin(np.isfinite(rows).all(1)))}; copy it again")
    return rows
