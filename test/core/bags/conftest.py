# SPDX-License-Identifier: Apache-2.0
"""A vehicle that drives a curve past three small cameras' worth of pictures, written the way each converter does."""

import struct
import sys
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mapkd_core.bags import to_messages
from mapkd_core.bags.typestore import make, typestore
from mapkd_core.geometry import from_euler, inverse, planar, rotation_to_quaternion, transform
from mapkd_core.types import Camera, Frame, MapElement


@pytest.fixture
def drive_of():
    """This module, for tests that compare with what was written."""
    return sys.modules[__name__]


START_NS = 1_600_000_000_000_000_000
PERIOD_NS = 100_000_000
WIDTH, HEIGHT = 64, 36
K = np.array([[50.0, 0.0, 31.0], [0.0, 52.0, 17.0], [0.0, 0.0, 1.0]])
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
EGO_T_LIDAR = transform(from_euler(0.01, 0.02, -1.57), (0.9, 0.0, 1.8))
# Each camera fires a little before the frame's stamp; CAM_FRONT is the anchor.
AGES_NS = {"CAM_FRONT": 0, "CAM_FRONT_LEFT": 8_000_000, "CAM_BACK": 25_000_000}


def pose_at(stamp_ns):
    """odom_T_ego on a circle: 10 m/s, 0.2 rad/s."""
    seconds = (stamp_ns - START_NS) / 1e9
    yaw = 0.2 * seconds
    return planar(50 * np.sin(yaw) + 3, 50 * (1 - np.cos(yaw)) - 2, yaw)


def rig():
    yaws = {"CAM_FRONT": 0.0, "CAM_FRONT_LEFT": 0.96, "CAM_BACK": np.pi}
    return tuple(
        Camera(name, None, K, transform(from_euler(0, 0, yaw) @ FORWARD, (1.2, 0.1, 1.5)), WIDTH, HEIGHT)
        for name, yaw in yaws.items()
    )


def picture(name, number):
    """Flat colour that says which camera and which frame: survives JPEG within 2 grey levels."""
    return np.full((HEIGHT, WIDTH, 3), (40 + 20 * number, 60 + 40 * list(AGES_NS).index(name), 90), np.uint8)


def points(number):
    return np.random.default_rng(number).normal(size=(50, 5)).astype(np.float32)


def truth():
    return (
        MapElement("divider", np.array([[0.5, 1.25], [5.0, 1.5], [9.0, 2.0]])),
        MapElement("ped_crossing", np.array([[4.0, -3.0], [6.0, -3.0], [6.0, 3.0], [4.0, 3.0]]), True),
    )


def frames(count=4, skewed=True):
    """What the vehicle saw; the poses of skewed cameras have the motion since their stamp folded in."""
    out = []
    for number in range(count):
        stamp_ns = START_NS + number * PERIOD_NS
        cameras = []
        for camera in rig():
            camera_ns = stamp_ns - (AGES_NS[camera.name] if skewed else 0)
            moved = inverse(pose_at(stamp_ns)) @ pose_at(camera_ns) @ camera.ego_T_camera
            image = picture(camera.name, number)
            cameras.append(Camera(camera.name, image, K, moved, WIDTH, HEIGHT, camera_ns))
        out.append(Frame(tuple(cameras), stamp_ns, points(number), pose_at(stamp_ns)))
    return out


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


@pytest.fixture
def nuscenes2bag(tmp_path):
    """clynamen/nuscenes2bag: ROS 1, no slash, no camera_info, no /tf_static, mountings on /tf."""
    store = get_typestore(Stores.ROS1_NOETIC)
    definition = "geometry_msgs/TransformStamped[] transforms"
    store.register(get_types_from_msg(definition, "tf/msg/tfMessage"))
    store.register(get_types_from_msg("string name", "nuscenes2bag/msg/RadarObjects"))
    path = tmp_path / "61.bag"
    with Writer1(path) as writer:
        sink = Sink(writer, Ros1Store(store), is_ros1=True)
        write_raw_drive(sink, topic="{}/raw", frame_id="{}", tf=True)
        radar = store.types["nuscenes2bag/msg/RadarObjects"](name="echo")
        sink.write("radar_front", START_NS, radar)
    return path


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


@pytest.fixture
def ros2_port(tmp_path):
    """Wj-costumer/NuScenes2Bag_ROS2: sqlite3, empty headers, LiDAR frame "lidar"."""
    with Writer(tmp_path / "ported", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        sink = Sink(writer, typestore())
        write_raw_drive(
            sink,
            topic="{}/raw",
            frame_id="{}",
            tf=True,
            zero_headers=True,
            lidar="lidar",
        )
    return tmp_path / "ported"


@pytest.fixture
def nuscenes_to_ros2bag(tmp_path):
    """Chris7462/nuscenes_to_ros2bag: MCAP, /nuscenes prefix, camera_info, map -> base_link on odom, no TF at all."""
    with Writer(tmp_path / "chris", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        sink = Sink(writer, typestore())
        topic = "/nuscenes/{}/image_raw"
        write_raw_drive(
            sink, topic=topic, frame_id="{}_link", tf=False, info=True, odom_parent="map", lidar="lidar_top_link"
        )
    return tmp_path / "chris"


def mcap_bytes(channels, profile="", schemas=None, compress=None):
    """A minimal MCAP file without index: channels are (topic, schema, encoding, [(stamp_ns, payload)]).

    schemas: name -> the schema's own bytes. compress: (name, function) puts all into one compressed chunk.
    """

    def text(value):
        return struct.pack("<I", len(value)) + value.encode()

    def record(op, content):
        return struct.pack("<BQ", op, len(content)) + content

    out = b""
    for number, (topic, schema, encoding, messages) in enumerate(channels, 1):
        definition = (schemas or {}).get(schema, b"")
        definition = struct.pack("<I", len(definition)) + definition
        out += record(3, struct.pack("<H", number) + text(schema) + text(encoding) + definition)
        out += record(4, struct.pack("<HH", number, number) + text(topic) + text(encoding) + struct.pack("<I", 0))
        for stamp_ns, payload in messages:
            out += record(5, struct.pack("<HIQQ", number, 0, stamp_ns, stamp_ns) + bytes(payload))
    if compress:
        packed = compress[1](out)
        sizes = struct.pack("<QQQI", 0, 2**63, len(out), 0)
        out = record(6, sizes + text(compress[0]) + struct.pack("<Q", len(packed)) + packed)
    out = b"\x89MCAP0\r\n" + record(1, text(profile) + text("test")) + out
    return out + record(15, bytes(4)) + record(2, bytes(20)) + b"\x89MCAP0\r\n"


def jpeg(rgb):
    return cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()


def quaternion(matrix):
    return rotation_to_quaternion(matrix[:3, :3]).tolist()


@pytest.fixture
def sidecar(tmp_path):
    """A calibration file as a user would write it, in YAML."""
    lines = ["cameras:"]
    for camera in rig():
        translation = camera.ego_T_camera[:3, 3].tolist()
        lines += [
            f"  {camera.name}:",
            f"    width: {WIDTH}",
            f"    height: {HEIGHT}",
            f"    K: {K.tolist()}",
            f"    ego_T_camera: {{translation: {translation}, rotation_xyzw: {quaternion(camera.ego_T_camera)}}}",
        ]
    lines.append(f"ego_T_lidar: {EGO_T_LIDAR.tolist()}")
    path = tmp_path / "calibration.yaml"
    path.write_text("\n".join(lines))
    return path
