# SPDX-License-Identifier: Apache-2.0
"""A scene of a nuScenes dataset on disk as a recording: every picture and LiDAR turn, key frames and sweeps alike.

The tables are read as the JSON that they are, and only those that a bag needs: without nuscenes-devkit, and without
the annotations, which are the largest table by far. The devkit is needed for the true map alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bags.recording import POINTS, TRUTH, Capture, Recording
from mapkd_core.bags.write import ANCHOR
from mapkd_core.data.calibration import intrinsics
from mapkd_core.data.image_codec import compressed_size
from mapkd_core.data.nuscenes import devkit, manifest, sensors
from mapkd_core.geometry import Matrix, planar
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Camera

TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "sensor", "ego_pose", "log")
LIDAR = "LIDAR_TOP"


def nuscenes_recording(
    root: Path | str,
    scene: str,
    version: str | None = None,
    *,
    truth: bool = True,
    rules: str = "ours",
    grid: BevGrid | None = None,
) -> Recording:
    """Scene such as "scene-0061" of the dataset at `root`; `version` may be left out where there is one only.

    truth: the map vectors around the anchor camera's key frames by those rules, where the city's map expansion is
    there. Raises FileNotFoundError and ValueError with file and remedy; files of captures are read later.
    """
    tables = SceneTables(Path(root), scene, version)
    captured = tables.captured
    if not captured:
        raise ValueError(f"{tables.folder}: {scene} has neither pictures nor LiDAR in sample_data.json")
    rig = tuple(_camera(tables, channel) for channel in tables.channels if channel != LIDAR)
    captures = [_capture(tables, record) for record in captured]
    poses = {record["timestamp"] * 1000: tables.pose("ego_pose", record["ego_pose_token"]) for record in captured}
    if truth and tables.has_map:
        captures += _truth(tables, poses, rules, grid or BevGrid())
    return Recording(
        f"{scene} of {tables.version}",
        rig,
        poses,
        tuple(sorted(captures, key=lambda capture: capture.stamp_ns)),
        _mounting(tables, LIDAR) if LIDAR in tables.channels else None,
        grid or BevGrid(),
        tables.labelled,
    )


class SceneTables:
    """The records of one scene. captured: sample_data of cameras and LiDAR. channels: CAM_FRONT, LIDAR_TOP, ..."""

    def __init__(self, root: Path, scene: str, version: str | None = None) -> None:
        self.root, self.version = root, version or devkit.find_version(root)
        self.folder = root / self.version
        self.manifest = manifest.read(root)
        tables = {name: self._table(name) for name in TABLES}
        found = [record for record in tables["scene"] if record["name"] == scene]
        if not found:
            names = sorted(record["name"] for record in tables["scene"])
            raise ValueError(f"{self.folder}: no scene {scene!r}; it has {', '.join(names[:5])} ... {names[-1:]}")
        self.labelled = self.manifest.labelled.get(scene, CLASSES) if self.manifest else CLASSES
        self._records = {name: {record["token"]: record for record in tables[name]} for name in TABLES}
        samples = {record["token"] for record in tables["sample"] if record["scene_token"] == found[0]["token"]}
        used = [record for record in tables["sample_data"] if record["sample_token"] in samples]
        self.captured = [record for record in used if self.channel(record).startswith(("CAM_", LIDAR))]
        self.channels = sorted({self.channel(record) for record in self.captured})
        self.location = str(self.get("log", found[0]["log_token"])["location"])

    def get(self, table: str, token: str) -> dict[str, Any]:
        """A record; ValueError for a token that the table does not have."""
        if token not in self._records[table]:
            raise ValueError(f"{self.folder / table}.json has no record {token!r}; unpack the metadata again")
        return self._records[table][token]

    def channel(self, record: dict[str, Any]) -> str:
        """Sensor of a sample_data record."""
        mounted = self.get("calibrated_sensor", record["calibrated_sensor_token"])
        return str(self.get("sensor", mounted["sensor_token"])["channel"])

    def pose(self, table: str, token: str) -> Matrix:
        """4x4 of a record with translation and rotation."""
        return sensors.pose(self.get(table, token), str(self.folder / f"{table}.json"))

    @property
    def has_map(self) -> bool:
        """Whether the city's map expansion is there."""
        return (self.root / "maps" / "expansion" / f"{self.location}.json").is_file()

    def read(self, name: str) -> bytes:
        """A file of the dataset, compared with the manifest where there is one."""
        if not (self.root / name).is_file():
            raise FileNotFoundError(f"{self.root / name}: no such file; unpack the blobs of the dataset again")
        raw = (self.root / name).read_bytes()
        if self.manifest:
            self.manifest.compare(name, raw)
        return raw

    def _table(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / f"{name}.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; unpack the metadata of nuScenes {self.version} again")
        try:
            return json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: no JSON ({error}); unpack the metadata again") from error


def _mounting(tables: SceneTables, channel: str) -> Matrix:
    """ego_T_sensor of a channel, which has to be the same in the whole scene."""
    tokens = {r["calibrated_sensor_token"] for r in tables.captured if tables.channel(r) == channel}
    first, *others = (tables.pose("calibrated_sensor", token) for token in sorted(tokens))
    if not all(np.allclose(first, other) for other in others):
        path = tables.folder / "calibrated_sensor.json"
        raise ValueError(f"{path}: {channel} has several mountings in a scene, a bag has one rig; remove all but one")
    return first


def _camera(tables: SceneTables, channel: str) -> Camera:
    record = next(record for record in tables.captured if tables.channel(record) == channel)
    token = record["calibrated_sensor_token"]
    K = intrinsics(tables.get("calibrated_sensor", token)["camera_intrinsic"], f"calibrated_sensor.json record {token}")
    return Camera(channel, None, K, _mounting(tables, channel), int(record["width"]), int(record["height"]))


def _capture(tables: SceneTables, record: dict[str, Any]) -> Capture:
    channel, name = tables.channel(record), record["filename"]
    if channel == LIDAR:
        return Capture(record["timestamp"] * 1000, POINTS, lambda: sensors.lidar_rows(tables.read(name), name))
    size = int(record["width"]), int(record["height"])
    return Capture(record["timestamp"] * 1000, channel, partial(_image, tables, name, size))


def _image(tables: SceneTables, name: str, size: tuple[int, int]) -> bytes:
    """The file as it is; ValueError where it is no picture of that size."""
    raw = tables.read(name)
    try:
        found = compressed_size(raw)
    except ValueError as error:
        raise ValueError(f"{tables.root / name}: {error}; copy it from the dataset again") from error
    if found != size:
        raise ValueError(f"{tables.root / name}: {found[0]} x {found[1]} pixels, sample_data.json says {size}")
    return raw


def _truth(tables: SceneTables, poses: dict[int, Matrix], rules: str, grid: BevGrid) -> Iterator[Capture]:
    from mapkd_core.data.nuscenes.map_layers import MapLayers
    from mapkd_core.data.nuscenes.rules import map_vectors

    layers = MapLayers(devkit.open_map(tables.root, tables.location))
    for record in tables.captured:
        if record["is_key_frame"] and tables.channel(record) == ANCHOR:
            stamp_ns = record["timestamp"] * 1000
            pose = poses[stamp_ns]
            flat = planar(pose[0, 3], pose[1, 3], float(np.arctan2(pose[1, 0], pose[0, 0])))
            yield Capture(stamp_ns, TRUTH, partial(map_vectors, layers, flat, grid, rules))
