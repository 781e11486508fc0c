# SPDX-License-Identifier: Apache-2.0
"""A bag that is being written: rosbag2 with MCAP storage, messages one by one, under its final name when complete.

Topics and frames are in docs/formats.md. write.py adds whole frames, convert.py single records of a recorded drive.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from mapkd_core.bags import to_messages
from mapkd_core.bags.storage import BagMessage
from mapkd_core.bags.typestore import typestore
from mapkd_core.geometry import Matrix
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Camera, MapElement

ODOM, BASE, LIDAR = "odom", "base_link", "lidar_top"
TRUTH_TOPIC = "/truth/vector_map"
PRIOR_TOPICS = {"sd": "/prior/sd_map", "hd": "/prior/hd_map"}

# Version 8 spells QoS the way that every distribution since Humble reads; 9 (Jazzy's) is newer than Humble.
_METADATA_VERSION: Literal[8] = 8
_LATCHED = ("/tf_static", TRUTH_TOPIC, *PRIOR_TOPICS.values())  # a subscriber that comes late still gets these

_Bag = TypeVar("_Bag", bound="BagFile")  # typing.Self is newer than Python 3.10


class BagFile:
    """Writes messages into a new bag; use as a context manager. Messages should come in the order of their stamps.

    path: a folder (rosbag2 bag with metadata.yaml), or a file when it ends in .mcap. Must not exist.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise ValueError(f"bag {self.path} exists already; remove it or choose another path")
        self._folder = self.path.with_name(f".{self.path.name}.partial-{os.getpid()}")
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._written = self._folder / self.path.stem
        self._writer = Writer(self._written, version=_METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Connection] = {}

    def __enter__(self: _Bag) -> _Bag:
        self._folder.mkdir()
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close and move into place, or leave nothing behind after an error."""
        try:
            if kind is None and not self._connections:
                raise ValueError(f"bag {self.path}: no frame was added")
            if kind is None:
                self._writer.close()
                single = self.path.suffix == ".mcap"
                (self._written / f"{self._written.name}.mcap" if single else self._written).rename(self.path)
            else:
                self._writer.abort()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add_mountings(self, stamp_ns: int, rig: Sequence[Camera], ego_T_lidar: Matrix | None) -> None:
        """/tf_static: where the sensors sit, ego_T_camera as mounted. Goes before everything else."""
        mounts = [(BASE, camera.name.lower(), camera.ego_T_camera) for camera in rig]
        mounts.append((BASE, LIDAR, np.eye(4) if ego_T_lidar is None else ego_T_lidar))
        self._write("/tf_static", stamp_ns, to_messages.transforms(stamp_ns, mounts))

    def add_pose(self, stamp_ns: int, odom_T_ego: Matrix) -> None:
        """/odom and /tf: where the vehicle is."""
        self._write("/odom", stamp_ns, to_messages.odometry(stamp_ns, ODOM, BASE, odom_T_ego))
        self._write("/tf", stamp_ns, to_messages.transforms(stamp_ns, [(ODOM, BASE, odom_T_ego)]))

    def add_image(self, camera: Camera, stamp_ns: int, encoded: bytes) -> None:
        """JPEG or PNG bytes as they are, after their camera_info."""
        frame_id = camera.name.lower()
        self._write(f"/{frame_id}/camera_info", stamp_ns, to_messages.camera_info(stamp_ns, frame_id, camera))
        image = to_messages.compressed_image(stamp_ns, frame_id, encoded)
        self._write(f"/{frame_id}/image/compressed", stamp_ns, image)

    def add_points(self, stamp_ns: int, points: NDArray[np.float32]) -> None:
        """P x 4 or 5 float32, x y z intensity [ring] in the LiDAR's own frame."""
        self._write("/lidar_top", stamp_ns, to_messages.point_cloud(stamp_ns, LIDAR, points))

    def add_truth(
        self, stamp_ns: int, elements: Sequence[MapElement], grid: BevGrid, labelled: Sequence[str] = CLASSES
    ) -> None:
        """True map in the ego frame at `stamp_ns`, which should be the anchor image's."""
        self._write(TRUTH_TOPIC, stamp_ns, to_messages.vector_map(stamp_ns, BASE, elements, grid, labelled))

    def add_prior(self, kind: str, stamp_ns: int, elements: Sequence[MapElement], grid: BevGrid) -> None:
        """What a map from before the drive says, once, in the odom frame; kind: sd or hd. grid: how far it reaches."""
        message = to_messages.vector_map(stamp_ns, ODOM, elements, grid, source=kind)
        self._write(PRIOR_TOPICS[kind], stamp_ns, message)

    def copy(self, message: BagMessage) -> None:
        """A message of another bag, byte for byte."""
        self._write_data(message.topic, message.type_name, message.stamp_ns, message.data)

    def _write(self, topic: str, stamp_ns: int, message: Any) -> None:
        type_name = message.__msgtype__
        self._write_data(topic, type_name, stamp_ns, typestore().serialize_cdr(message, type_name))

    def _write_data(self, topic: str, type_name: str, stamp_ns: int, data: bytes | memoryview) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=typestore(), offered_qos_profiles=[qos(topic in _LATCHED)]
            )
        self._writer.write(self._connections[topic], stamp_ns, data)


def qos(is_latched: bool) -> Qos:
    """What the bag's publishers offered: reliable, which best-effort subscribers accept, too."""
    unset = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
        unset,
        unset,
        QosLiveliness.SYSTEM_DEFAULT,
        unset,
        False,
    )
