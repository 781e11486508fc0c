# SPDX-License-Identifier: Apache-2.0
"""Calibration from files: a camera's intrinsics and where it sits, checked before anyone trusts them.

The calibration file (JSON or YAML, docs/formats.md) goes beside a bag that carries none; a `frame.json` is one, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import Matrix, quaternion_to_rotation, transform
from mapkd_core.reading import parse_json, parse_yaml


@dataclass(frozen=True)
class CameraCalibration:
    """Intrinsics of the image as recorded, and the fixed mounting; `ego_T_camera` is None where the file has none."""

    width: int
    height: int
    K: Matrix
    ego_T_camera: Matrix | None = None


@dataclass(frozen=True)
class Calibration:
    """cameras: by upper-case name. ego_T_lidar: None where the file has none."""

    cameras: dict[str, CameraCalibration]
    ego_T_lidar: Matrix | None = None


def read_calibration(path: Path | str) -> Calibration:
    """Read a calibration file; FileNotFoundError or ValueError with the file, the key and the value that is wrong."""
    content = read_mapping(Path(path))
    cameras = content.get("cameras")
    if not isinstance(cameras, Mapping) or not cameras:
        raise ValueError(f"{path}: 'cameras' must map camera names to width, height, K, ego_T_camera")
    lidar = content.get("ego_T_lidar", content.get("lidar2ego"))
    return Calibration(
        {str(name).upper(): _camera(entry, f"{path}: cameras.{name}") for name, entry in cameras.items()},
        None if lidar is None else rigid(lidar, f"{path}: ego_T_lidar"),
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """The object in a JSON or YAML file (by suffix)."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    text = path.read_text(encoding="utf-8", errors="replace")
    parse = parse_yaml if path.suffix.lower() in (".yaml", ".yml") else parse_json
    content = parse(text, str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected an object with named entries")
    return content


def require(entry: Any, key: str, where: str) -> Any:
    """entry[key], or a ValueError that names the place and the key."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {entry!r}, expected an object with named entries")
    if key not in entry:
        raise ValueError(f"{where} has no {key!r}; it has {', '.join(map(str, entry)) or 'nothing'}")
    return entry[key]


def image_size(entry: Any, where: str) -> tuple[int, int]:
    """(width, height) of a camera entry, both positive whole numbers."""
    size = tuple(require(entry, key, where) for key in ("width", "height"))
    if not all(type(length) is int and length > 0 for length in size):
        raise ValueError(f"{where}: size {size[0]!r} x {size[1]!r} must be two positive whole numbers of pixels")
    return size[0], size[1]


def intrinsics(value: Any, where: str) -> Matrix:
    """3x3 pinhole matrix from 3x3 or nine numbers: positive focal lengths, last row 0 0 1."""
    K = numbers(value, where)
    if K.shape == (9,):
        K = K.reshape(3, 3)
    if K.shape != (3, 3):
        raise ValueError(f"{where} has shape {K.shape}, expected 3x3")
    if K[0, 0] <= 0 or K[1, 1] <= 0 or not np.allclose(K[2], (0, 0, 1)):
        raise ValueError(f"{where} = {K.tolist()} is no pinhole camera: fx, fy must be positive, the last row 0 0 1")
    return K


def rigid(value: Any, where: str) -> Matrix:
    """4x4 rigid transform from 4x4 numbers or {translation: x y z, rotation_xyzw: x y z w}."""
    if isinstance(value, Mapping):
        rotation = numbers(require(value, "rotation_xyzw", where), f"{where}.rotation_xyzw")
        translation = numbers(require(value, "translation", where), f"{where}.translation")
        if rotation.shape != (4,) or translation.shape != (3,):
            raise ValueError(f"{where}: rotation_xyzw needs 4 numbers and translation 3")
        return transform(quaternion_to_rotation(rotation), translation)
    matrix = numbers(value, where)
    if matrix.shape != (4, 4):
        raise ValueError(f"{where} has shape {matrix.shape}, expected 4x4")
    # 1e-3: files carry single-precision rotations.
    is_rotation = np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3)
    if not is_rotation or np.linalg.det(matrix[:3, :3]) < 0 or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise ValueError(f"{where} = {matrix.tolist()} is not a rigid transform (rotation, translation, 0 0 0 1)")
    return matrix


def numbers(value: Any, where: str) -> NDArray[np.float64]:
    """A rectangular array of finite numbers."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} = {str(value)[:120]} is not a rectangular array of numbers") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{where} holds NaN or infinity: {str(value)[:120]}")
    return array


def _camera(entry: Any, where: str) -> CameraCalibration:
    width, height = image_size(entry, where)
    mounting = entry.get("ego_T_camera", entry.get("cam2ego_static"))
    return CameraCalibration(
        width,
        height,
        intrinsics(require(entry, "K", where), f"{where}.K"),
        None if mounting is None else rigid(mounting, f"{where}.ego_T_camera"),
    )
