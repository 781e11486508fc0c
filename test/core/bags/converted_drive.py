# SPDX-License-Identifier: Apache-2.0
"""The made drive written message by message, as converters do it, in ROS 1 and ROS 2."""

from dataclasses import dataclass

import numpy as np
from made_drive import EGO_T_LIDAR, HEIGHT, WIDTH, frames, points, pose_at, rig

from mapkd_core.bags import to_messages
from mapkd_core.bags.typestore import make


@dataclass
class Sink:
    """One interface over the ROS 1 and ROS 2 writers of rosbags."""

    writer: object
    store: object
    is_ros1: bool = False

    def __post_init__(self):
        self.connections = {}

    def write(self, topic, stamp_ns, message, type_name=None):
        type_name = type_name or message.__msgtype__
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(topic, type_name, typestore=self.store)
        serialise = self.store.serialize_ros1 if self.is_ros1 else self.store.serialize_cdr
        self.writer.write(self.connections[topic], stamp_ns, serialise(message, type_name))


def image_message(stamp_ns, frame_id, rgb):
    return make(
        "sensor_msgs/msg/Image",
        header=to_messages.header(stamp_ns, frame_id),
        height=HEIGHT,
        width=WIDTH,
        encoding="bgr8",
        is_bigendian=0,
        step=3 * WIDTH,
        data=np.ascontiguousarray(rgb[..., ::-1]).ravel(),
    )


def write_raw_drive(
    sink, *, topic, frame_id, tf, info=False, zero_headers=False, odom_parent="odom", lidar="lidar_top"
):
    """Uncompressed drive: `topic` and `frame_id` are patterns over the camera's name."""

    def header_ns(stamp_ns):
        return 0 if zero_headers else stamp_ns

    for number, frame in enumerate(frames()):
        stamps = sorted({frame.stamp_ns, *(camera.stamp_ns for camera in frame.cameras)})
        for stamp_ns in stamps:
            pose = pose_at(stamp_ns)
            odometry = to_messages.odometry(header_ns(stamp_ns), odom_parent, "base_link", pose)
            sink.write("/nuscenes/odom" if topic.startswith("/nuscenes") else "/odom", stamp_ns, odometry)
            if tf:
                mounts = [("base_link", camera.name.lower(), camera.ego_T_camera) for camera in rig()]
                mounts += [
                    ("base_link", "lidar_top", EGO_T_LIDAR),
                    ("odom", "base_link", pose),
                    ("map", "odom", np.eye(4)),
                ]
                message, kind = to_messages.transforms(stamp_ns, mounts), "tf2_msgs/msg/TFMessage"
                sink.write("/tf", stamp_ns, message, "tf/msg/tfMessage" if sink.is_ros1 else kind)
        for camera in sorted(frame.cameras, key=lambda camera: camera.stamp_ns):
            name = camera.name.lower()
            frame_name = "" if zero_headers else frame_id.format(name)
            stamp_ns = camera.stamp_ns
            if info:
                message = to_messages.camera_info(stamp_ns, frame_name, camera)
                sink.write(topic.format(name).rsplit("/", 1)[0] + "/camera_info", stamp_ns, message)
            image = image_message(header_ns(stamp_ns), frame_name, camera.image)
            sink.write(topic.format(name), stamp_ns, image)
        from_lidar = points(number)[:, :4]
        cloud = to_messages.point_cloud(header_ns(frame.stamp_ns), lidar, from_lidar)
        sink.write("/nuscenes/lidar_top" if topic.startswith("/nuscenes") else "lidar_top", frame.stamp_ns, cloud)


class Ros1Store:
    """Lets ROS 2 message objects be written as ROS 1: same fields but the header's sequence number."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        return getattr(self.store, name)

    def serialize_ros1(self, message, type_name):
        return self.store.serialize_ros1(self._as_ros1(message, type_name), type_name)

    def _as_ros1(self, message, type_name):
        values = {}
        for name, _ in self.store.fielddefs[type_name][1]:
            value = 7 if name == "seq" else getattr(message, name, None)
            if isinstance(value, list):
                value = [
                    self._as_ros1(item, item.__msgtype__) if hasattr(item, "__msgtype__") else item for item in value
                ]
            elif hasattr(value, "__msgtype__"):
                value = self._as_ros1(value, value.__msgtype__)
            values[name] = value
        return self.store.types[type_name](**values)
