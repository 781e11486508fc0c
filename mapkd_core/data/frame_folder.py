# SPDX-License-Identifier: Apache-2.0
"""Frame folder: one instant of a vehicle in an open format, `frame.json` beside its images and its LiDAR sweep.

docs/formats.md describes it. Labels are in the ego frame of `timestamp_us`; cameras fire a little earlier, and their
`ego_at_lidar_to_cam` has the motion in between folded in, so that `Frame` is one rigid picture of one instant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.calibration import image_size, intrinsics, numbers, read_mapping, require, rigid
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.geometry import Matrix, apply, inverse
from mapkd_core.types import CLASSES, Camera, Frame, MapElement

LIDAR_COLUMNS = 5  # float32 x y z intensity ring


@dataclass(frozen=True)
class FrameFolder:
    """A frame with all that is known about it.

    frame: decoded images; each camera has its own `stamp_ns`, poses are those at `frame.stamp_ns`.
    rig: the cameras as mounted (without the motion between their stamp and the frame's); `image` is None.
    encoded: camera name -> the image file's bytes, untouched.
    elements: truth in the ego frame; labelled: the classes it speaks about (the others must be masked in any score).
    ego_T_lidar: mounting of the LiDAR; identity without one.
    """

    frame: Frame
    rig: tuple[Camera, ...]
    encoded: dict[str, bytes]
    elements: tuple[MapElement, ...] = ()
    labelled: tuple[str, ...] = ()
    ego_T_lidar: Matrix = field(default_factory=lambda: np.eye(4))
    name: str = "frame"


def read_frame_folder(path: Path | str, truth: str = "60x30") -> FrameFolder:
    """Read the folder; `truth` names the labelled range, key `gt_<truth>` of frame.json.

    Raises FileNotFoundError for missing files, ValueError with file, key and value for anything else that is wrong.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; a frame folder holds frame.json, images and LiDAR")
    where = str(folder / "frame.json")
    content = read_mapping(folder / "frame.json")
    entries = require(content, "cameras", where)
    if not isinstance(entries, Mapping) or not entries:
        raise ValueError(f"{where}: cameras = {entries!r}, expected an object with at least one camera")
    stamp_ns = round(_moment(content.get("timestamp_us", 0), f"{where}: timestamp_us")) * 1000
    encoded = {
        name: _file(folder, require(entry, "file", f"{where}: cameras.{name}")) for name, entry in entries.items()
    }
    cameras = [_camera(name, entry, encoded[name], stamp_ns, where) for name, entry in entries.items()]
    ego_T_lidar = rigid(content.get("lidar2ego", np.eye(4)), f"{where}: lidar2ego")
    pose = content.get("ego2global")
    return FrameFolder(
        Frame(
            tuple(camera for camera, _ in cameras),
            stamp_ns,
            _points(folder, content.get("lidar"), ego_T_lidar),
            None if pose is None else rigid(pose, f"{where}: ego2global"),
        ),
        tuple(mounted for _, mounted in cameras),
        encoded,
        _elements(content.get(f"gt_{truth}", {}), f"{where}: gt_{truth}"),
        _labelled(content, where, truth),
        ego_T_lidar,
        str(content.get("name", folder.name)),
    )


def write_frame_folder(folder: FrameFolder, path: Path | str, truth: str = "60x30", jpeg_quality: int = 95) -> Path:
    """Write what `read_frame_folder` reads; images without an entry in `encoded` are compressed here."""
    target = Path(path)
    if target.exists():
        raise ValueError(f"{target} exists already; remove it or choose another path")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    frame = folder.frame
    content: dict[str, Any] = {"name": folder.name, "timestamp_us": frame.stamp_ns // 1000, "cameras": {}}
    mounted = {camera.name: camera for camera in folder.rig}
    for camera in frame.cameras:
        image = folder.encoded.get(camera.name) or _compress(camera, jpeg_quality)
        file = f"{camera.name}{'.png' if image.startswith(bytes([0x89])) else '.jpg'}"
        (partial / file).write_bytes(image)
        content["cameras"][camera.name] = {
            "file": file,
            "K": camera.K.tolist(),
            "cam2ego_static": mounted.get(camera.name, camera).ego_T_camera.tolist(),
            "ego_at_lidar_to_cam": inverse(camera.ego_T_camera).tolist(),
            "timestamp_s": (camera.stamp_ns or frame.stamp_ns) / 1e9,
            "width": camera.width,
            "height": camera.height,
        }
    if frame.odom_T_ego is not None:
        content["ego2global"] = frame.odom_T_ego.tolist()
    if frame.points is not None:
        content |= {"lidar": "LIDAR_TOP.pcd.bin", "lidar2ego": folder.ego_T_lidar.tolist()}
        rows = np.zeros((len(frame.points), LIDAR_COLUMNS), np.float32)
        rows[:, : frame.points.shape[1]] = frame.points[:, :LIDAR_COLUMNS]
        rows[:, :3] = apply(inverse(folder.ego_T_lidar), frame.points[:, :3])
        (partial / content["lidar"]).write_bytes(rows.tobytes())
    content["classes_labelled"] = list(folder.labelled)
    content[f"gt_{truth}"] = _lines(folder.elements)
    (partial / "frame.json").write_text(json.dumps(content, indent=1))
    return partial.rename(target)


def _file(folder: Path, name: Any) -> bytes:
    if len(str(name)) > 255:
        raise ValueError(
            f"{folder}: file {str(name)[:40]!r}... is no file name: {len(str(name))} characters, at most 255"
        )
    path = (folder / str(name)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{folder}: file {name!r} lies outside the frame folder")
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: frame.json names {name!r}, but there is no such file")
    return path.read_bytes()


def _camera(name: str, entry: Mapping[str, Any], image: bytes, stamp_ns: int, where: str) -> tuple[Camera, Camera]:
    """(the camera at the frame's stamp with its image, the camera as mounted without)."""
    where = f"{where}: cameras.{name}"
    width, height = image_size(entry, where)
    try:
        pixels = decode_compressed("", image)
    except ValueError as error:
        raise ValueError(f"{where}.file {entry['file']}: {error}") from error
    if pixels.shape[:2] != (height, width):
        raise ValueError(f"{where}: image is {pixels.shape[1]} x {pixels.shape[0]}, frame.json says {width} x {height}")
    moved, mounted = entry.get("ego_at_lidar_to_cam"), entry.get("cam2ego_static")
    if moved is None and mounted is None:
        raise ValueError(f"{where} needs 'ego_at_lidar_to_cam' or 'cam2ego_static'")
    poses = [] if moved is None else [inverse(rigid(moved, f"{where}.ego_at_lidar_to_cam"))]
    poses += [] if mounted is None else [rigid(mounted, f"{where}.cam2ego_static")]
    # Microseconds are all that a float of seconds since 1970 carries.
    seconds = entry.get("timestamp_s")
    camera_ns = stamp_ns if seconds is None else round(1e6 * _moment(seconds, f"{where}.timestamp_s", 1e6)) * 1000
    K = intrinsics(require(entry, "K", where), f"{where}.K")
    camera = Camera(name, pixels, K, poses[0], width, height, camera_ns)
    return camera, replace(camera, image=None, ego_T_camera=poses[-1])


def _moment(value: Any, where: str, unit_us: float = 1.0) -> float:
    """A time since 1970 whose nanoseconds fit a stamp of 64 bits; unit_us: microseconds in its unit."""
    moment = numbers(value, where)
    if moment.ndim or not 0 <= moment * unit_us < 2**63 / 1000:
        raise ValueError(f"{where} = {str(value)[:120]}, expected one number: a time since 1970")
    return float(moment)


def _points(folder: Path, name: Any, ego_T_lidar: Matrix) -> NDArray[np.float32] | None:
    if name is None:
        return None
    raw = _file(folder, name)
    row = 4 * LIDAR_COLUMNS
    if len(raw) % row:
        raise ValueError(f"{folder / str(name)}: {len(raw)} bytes are not a whole number of rows of {row} bytes")
    points = np.frombuffer(raw, "<f4").reshape(-1, LIDAR_COLUMNS).copy()
    points[:, :3] = apply(ego_T_lidar, points[:, :3])
    return points


def _labelled(content: Mapping[str, Any], where: str, truth: str) -> tuple[str, ...]:
    """Where nobody says which classes are known, those that the truth names: it must not go unused in silence."""
    labelled = content.get("classes_labelled", list(content.get(f"gt_{truth}", {})))
    if not isinstance(labelled, list) or not set(map(str, labelled)) <= set(CLASSES):
        raise ValueError(f"{where}: classes_labelled = {labelled!r}, expected a list out of {', '.join(CLASSES)}")
    return tuple(name for name in CLASSES if name in labelled)


def _elements(lines: Any, where: str) -> tuple[MapElement, ...]:
    if not isinstance(lines, Mapping):
        raise ValueError(f"{where} = {str(lines)[:120]}, expected an object class -> list of polylines")
    elements = []
    for class_name, polylines in lines.items():
        if class_name not in CLASSES or not isinstance(polylines, list):
            raise ValueError(f"{where}.{class_name}: expected a list of polylines of one of {', '.join(CLASSES)}")
        for index, polyline in enumerate(polylines):
            vertices = numbers(polyline, f"{where}.{class_name}[{index}]")
            if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 2:
                raise ValueError(
                    f"{where}.{class_name}[{index}] has shape {vertices.shape}, expected V >= 2 rows of x y"
                )
            repeats_first = len(vertices) > 3 and np.allclose(vertices[0], vertices[-1], atol=1e-6)
            is_closed = repeats_first or class_name == "ped_crossing"
            elements.append(MapElement(class_name, vertices[:-1] if repeats_first else vertices, bool(is_closed)))
    return tuple(elements)


def _lines(elements: Sequence[MapElement]) -> dict[str, list[Any]]:
    lines: dict[str, list[Any]] = {name: [] for name in CLASSES}
    for element in elements:
        vertices = np.asarray(element.vertices_m, np.float64).tolist()
        lines.setdefault(element.class_name, []).append([*vertices, vertices[0]] if element.is_closed else vertices)
    return lines


def _compress(camera: Camera, jpeg_quality: int) -> bytes:
    if camera.image is None:
        raise ValueError(f"camera {camera.name} has no image; a frame folder needs one per camera")
    return cv2.imencode(".jpg", camera.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1].tobytes()
