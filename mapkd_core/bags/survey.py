# SPDX-License-Identifier: Apache-2.0
"""First pass over a bag: every stamp, every pose and every calibration in it, without decoding a picture."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from rosbags.serde import SerdeError

from mapkd_core.bags import from_messages
from mapkd_core.bags.dialects import Dialect
from mapkd_core.bags.poses import FrameTree, PoseTrack
from mapkd_core.bags.storage import BagMessage, BagReader
from mapkd_core.bags.typestore import typestore
from mapkd_core.data.calibration import CameraCalibration
from mapkd_core.data.image_codec import compressed_size
from mapkd_core.geometry import Matrix


@dataclass
class Survey:
    """What a bag says about itself.

    stamps_ns: topic of images or points -> capture stamp of each message in bag order.
    frame_ids: topic (of camera_info, too) -> header.frame_id of its first message.
    sizes: image topic -> width, height of its first image.
    intrinsics: camera -> calibration by its first usable camera_info; rejected_intrinsics: what was wrong with others.
    odometry: odom_T_ego by /odom. odometry_frames: its (parent, child). odometry_late_ns: how long after its own stamp
        it was logged, at most.
    problems: what is wrong with the bag, each said once, with how often.
    """

    stamps_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    frame_ids: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    intrinsics: dict[str, CameraCalibration] = field(default_factory=dict)
    rejected_intrinsics: dict[str, str] = field(default_factory=dict)
    tree: FrameTree = field(default_factory=lambda: FrameTree({}))
    odometry: PoseTrack | None = None
    odometry_frames: tuple[str, str] = ("odom", "base_link")
    odometry_late_ns: int = 0
    problems: Counter[str] = field(default_factory=Counter)


def peek_header(data: bytes | memoryview) -> tuple[int, str]:
    """(stamp in ns, frame_id) of a CDR message that begins with a std_msgs/Header, without touching the rest."""
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds, length = struct.unpack_from(order + "iII", data, 4)
    return seconds * 10**9 + nanoseconds, bytes(data[16 : 16 + max(0, length - 1)]).decode("utf-8", "replace")


def capture_ns(message: BagMessage) -> int:
    """The header's stamp; bag time where a converter left it zero."""
    return peek_header(message.data)[0] or message.stamp_ns


def survey(reader: BagReader, dialect: Dialect) -> Survey:
    """Read the whole bag once."""
    found = Survey()
    images = {topics.image.name for topics in dialect.cameras.values()}
    infos = {topics.info: camera for camera, topics in dialect.cameras.items() if topics.info}
    transforms: dict[tuple[str, str], dict[int, Matrix]] = defaultdict(dict)
    poses: dict[int, Matrix] = {}
    for message in reader.messages({*images, *infos, *dialect.transforms, dialect.odometry or "", dialect.lidar or ""}):
        try:
            if message.topic in images or message.topic == dialect.lidar:
                _add_stamp(found, message, message.topic in images)
            elif message.topic in infos:
                _add_intrinsics(found, infos[message.topic], message)
            elif message.topic in dialect.transforms:
                _add_transforms(transforms, message)
            elif message.topic == dialect.odometry:
                odometry = _deserialise(message)
                found.odometry_frames = (odometry.header.frame_id or "odom", odometry.child_frame_id or "base_link")
                found.odometry_late_ns = max(found.odometry_late_ns, message.stamp_ns - capture_ns(message))
                poses[capture_ns(message)] = from_messages.pose(odometry.pose.pose)
        except (ValueError, SerdeError, struct.error) as error:
            found.problems[f"{message.topic}: {error}"] += 1
    found.tree = FrameTree(transforms)
    found.odometry = PoseTrack(poses) if poses else None
    return found


def _deserialise(message: BagMessage) -> Any:
    return typestore().deserialize_cdr(message.data, message.type_name)


def _add_stamp(found: Survey, message: BagMessage, is_image: bool) -> None:
    found.stamps_ns[message.topic].append(capture_ns(message))
    if message.topic in found.frame_ids:
        return
    found.frame_ids[message.topic] = peek_header(message.data)[1].lstrip("/")
    if is_image:
        image = _deserialise(message)
        raw = message.type_name == from_messages.RAW_IMAGE
        found.sizes[message.topic] = (image.width, image.height) if raw else compressed_size(image.data)


def _add_intrinsics(found: Survey, camera: str, message: BagMessage) -> None:
    found.frame_ids.setdefault(message.topic, peek_header(message.data)[1].lstrip("/"))
    if camera in found.intrinsics:
        return
    try:
        found.intrinsics[camera], distortion = from_messages.calibration(_deserialise(message), message.topic)
    except ValueError as error:
        found.rejected_intrinsics[camera] = str(error)
        raise
    if distortion > 1e-6:
        found.problems[
            f"{message.topic}: distortion up to {distortion:.3g}, but images are taken as rectified; "
            "rectify them with image_proc if they are not"
        ] += 1


def _add_transforms(transforms: dict[tuple[str, str], dict[int, Matrix]], message: BagMessage) -> None:
    for item in _deserialise(message).transforms:
        stamp_ns = from_messages.stamp_ns(item.header) or message.stamp_ns
        transforms[item.header.frame_id, item.child_frame_id][stamp_ns] = from_messages.pose(item.transform)
