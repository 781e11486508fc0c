# SPDX-License-Identifier: Apache-2.0
"""Any bag as this package's own topics, ready to be published: one replay node serves every dialect.

Topics get the names that BagWriter uses. What a converter left out is filled in: stamps of zero become the bag time,
empty frame ids the camera's frame; /tf_static and /tf are made from the calibration file and /odom where the bag has
none. Intrinsics of a calibration file replace the recorded camera_info. Odometry that was logged late, with the next
keyframe, comes at its own time. All else passes through byte for byte.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mapkd_core.bags import from_messages, to_messages
from mapkd_core.bags.bag_file import PRIOR_TOPICS, TRUTH_TOPIC
from mapkd_core.bags.dialects import canonical_names, normalise
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.storage import BagMessage
from mapkd_core.bags.survey import capture_ns, peek_header
from mapkd_core.bags.typestore import typestore
from mapkd_core.types import Camera

MAX_LATE_NS = 1_000_000_000  # nuScenes' keyframes are half a second apart
INFO, TRANSFORMS = "sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage"


class ReplayTopic(NamedTuple):
    """A topic to advertise before playing; `is_latched`: transient local, late subscribers still get it."""

    name: str
    type_name: str
    is_latched: bool


def replay_topics(drive: BagDrive) -> tuple[ReplayTopic, ...]:
    """All topics that `replay_messages` yields."""
    names = canonical_names(drive.dialect)
    latched = ("/tf_static", TRUTH_TOPIC, *PRIOR_TOPICS.values())
    topics = {
        ReplayTopic(name, topic.type_name, topic.is_latched or name in latched)
        for topic in drive.reader.topics
        if topic.is_ros and (name := names.get(topic.name, normalise(topic.name)))
    }
    topics |= {ReplayTopic(f"/{name.lower()}/camera_info", INFO, False) for name in _made_info(drive)}
    if _mounts(drive):
        topics.add(ReplayTopic("/tf_static", TRANSFORMS, True))
    if _needs_odometry_tf(drive):
        topics.add(ReplayTopic("/tf", TRANSFORMS, False))
    return tuple(sorted(topics))


def replay_messages(drive: BagDrive) -> Iterator[BagMessage]:
    """Messages in bag time under the names of `replay_topics`; camera_info comes just before its image."""
    names = canonical_names(drive.dialect)
    image_of = {topics.image.name: name for name, topics in drive.dialect.cameras.items()}
    made_info, mounts, needs_tf = _made_info(drive), _mounts(drive), _needs_odometry_tf(drive)
    replaced = {drive.dialect.cameras[name].info for name in made_info}
    frame_ids = {topics.image.name: drive.rig.frame_id(name) for name, topics in drive.dialect.cameras.items()}
    frame_ids |= {
        topics.info: drive.rig.frame_id(name) for name, topics in drive.dialect.cameras.items() if topics.info
    }
    if drive.dialect.lidar:
        frame_ids[drive.dialect.lidar] = _lidar_frame(drive)
    for message in _in_time(drive):
        if mounts:
            yield _made("/tf_static", message.stamp_ns, to_messages.transforms(message.stamp_ns, mounts))
            mounts = []
        if message.topic in replaced:
            continue
        name = names.get(message.topic, normalise(message.topic))
        if message.topic in frame_ids or message.topic == drive.dialect.odometry:
            message = _with_header(message, frame_ids.get(message.topic))
        if (camera := image_of.get(message.topic)) in made_info:
            stamp_ns, frame_id = peek_header(message.data)
            info = to_messages.camera_info(stamp_ns, frame_id, made_info[camera])
            yield _made(f"/{camera.lower()}/camera_info", message.stamp_ns, info)
        if needs_tf and message.topic == drive.dialect.odometry:
            yield _made("/tf", message.stamp_ns, _odometry_tf(drive, message))
        yield message._replace(topic=name)


def _in_time(drive: BagDrive) -> Iterator[BagMessage]:
    """The messages in bag time, but odometry at its own stamp, where that is at most MAX_LATE_NS earlier."""
    late_ns = min(drive.survey.odometry_late_ns, MAX_LATE_NS)
    if late_ns <= 0:
        yield from drive.reader.messages()
        return
    waiting: list[tuple[int, int, BagMessage]] = []
    for number, message in enumerate(drive.reader.messages()):
        logged_ns = message.stamp_ns
        if message.topic == drive.dialect.odometry and logged_ns - capture_ns(message) <= late_ns:
            message = message._replace(stamp_ns=min(logged_ns, capture_ns(message)))
        heapq.heappush(waiting, (message.stamp_ns, number, message))
        while waiting[0][0] <= logged_ns - late_ns:
            yield heapq.heappop(waiting)[2]
    yield from (heapq.heappop(waiting)[2] for _ in range(len(waiting)))


def _made_info(drive: BagDrive) -> dict[str, Camera]:
    """Cameras whose intrinsics the calibration file gives."""
    return {
        name: Camera(name, None, found.K, np.eye(4), found.width, found.height)
        for name, found in drive.rig.sidecar.cameras.items()
        if name in drive.dialect.cameras
    }


def _mounts(drive: BagDrive) -> list[tuple[str, str, Any]]:
    """(base, frame, base_T_frame) that the calibration file knows and TF does not."""
    tree, base = drive.survey.tree, drive.rig.base_frame
    mounts = [
        (base, drive.rig.frame_id(name), drive.rig.ego_T_camera(name))
        for name in drive.dialect.cameras
        if tree.mounting(base, drive.rig.frame_id(name)) is None and drive.rig.ego_T_camera(name) is not None
    ]
    if drive.dialect.lidar and drive.rig.sidecar.ego_T_lidar is not None:
        frame_id = _lidar_frame(drive)
        if tree.mounting(base, frame_id) is None:
            mounts.append((base, frame_id, drive.rig.sidecar.ego_T_lidar))
    return mounts


def _lidar_frame(drive: BagDrive) -> str:
    """The frame of the points; `lidar_top` where TF does not know the recorded one but that."""
    recorded = drive.survey.frame_ids.get(drive.dialect.lidar or "", "")
    is_known = bool(recorded) and drive.survey.tree.mounting(drive.rig.base_frame, recorded) is not None
    if is_known or (recorded and "lidar_top" not in drive.survey.tree):
        return recorded
    return "lidar_top"


def _needs_odometry_tf(drive: BagDrive) -> bool:
    """/odom gives the pose, TF does not."""
    return drive.survey.odometry is not None and drive.survey.tree.parent(drive.rig.base_frame) is None


def _odometry_tf(drive: BagDrive, message: BagMessage) -> Any:
    stamp_ns, _ = peek_header(message.data)
    parent, _ = drive.survey.odometry_frames
    content: Any = typestore().deserialize_cdr(message.data, message.type_name)
    return to_messages.transforms(stamp_ns, [(parent, drive.rig.base_frame, from_messages.pose(content.pose.pose))])


def _with_header(message: BagMessage, frame_id: str | None) -> BagMessage:
    """The message with a stamp and, where given, this frame id; untouched where it has both already."""
    stamp_ns, recorded = peek_header(message.data)
    if stamp_ns and frame_id in (None, recorded):
        return message
    content: Any = typestore().deserialize_cdr(message.data, message.type_name)
    header = to_messages.header(stamp_ns or message.stamp_ns, recorded if frame_id is None else frame_id)
    data = typestore().serialize_cdr(replace(content, header=header), message.type_name)
    return message._replace(data=data)


def _made(topic: str, stamp_ns: int, content: Any) -> BagMessage:
    return BagMessage(topic, content.__msgtype__, stamp_ns, typestore().serialize_cdr(content, content.__msgtype__))
