# SPDX-License-Identifier: Apache-2.0
"""Bags of every kind, and the messages in them, as targets."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.robustness.fuzz import seeds
from mapkd_core.robustness.fuzz.targets import Target, _folder, _written

MESSAGES = {
    "image": "sensor_msgs/msg/Image",
    "compressed": "sensor_msgs/msg/CompressedImage",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "cloud": "sensor_msgs/msg/PointCloud2",
    "transforms": "tf2_msgs/msg/TFMessage",
    "vectors": "mapkd/msg/VectorMap",
    "semantic": "mapkd/msg/BevSemanticMap",
}


def targets() -> tuple[Target, ...]:
    from rosbags.serde import SerdeError

    refusals = (ValueError, FileNotFoundError)
    bags = [
        Target(f"bag_{kind}", partial(read_bag, f"drive.{kind}"), partial(_bag, kind), refusals, 0.5)
        for kind in ("mcap", "bag", "db3")
    ]
    messages = [
        Target(f"message_{name}", partial(read_message, name), partial(_message, name), (*refusals, SerdeError), 1.5)
        for name in MESSAGES
    ]
    return (*bags, *messages, Target("foxglove", read_foxglove, _foxglove, refusals))


def read_bag(name: str, data: bytes) -> object:
    """As a drive where it is one, else as messages."""
    from mapkd_core.bags.read import BagDrive
    from mapkd_core.bags.storage import BagReader

    path = _written(name, data)
    try:
        with BagDrive(path) as drive:
            return [len(frame.cameras) for frame in drive.frames()]
    except ValueError:
        with BagReader(path) as reader:
            return sum(1 for _ in reader.messages())


def read_message(name: str, data: bytes) -> object:
    from mapkd_core.bags import from_messages
    from mapkd_core.bags.published import local_map
    from mapkd_core.bags.typestore import typestore

    type_name = MESSAGES[name]
    message: Any = typestore().deserialize_cdr(data, type_name)
    if name in ("image", "compressed"):
        return from_messages.image(type_name, message)
    if name == "camera_info":
        return from_messages.calibration(message, "/camera_info")
    if name == "cloud":
        return from_messages.points(message)
    if name == "transforms":
        return [from_messages.pose(item.transform) for item in message.transforms]
    if name == "vectors":
        return from_messages.elements(message), local_map(0, message, None, None)
    vectors = typestore().deserialize_cdr(_messages()["vectors"], MESSAGES["vectors"])
    return local_map(0, vectors, message, None)


def read_foxglove(data: bytes) -> object:
    """The first half describes the types, the second is a message."""
    from mapkd_core.bags.foxglove import ROS_TYPES, converter

    name = list(ROS_TYPES)[data[0] % len(ROS_TYPES)] if data else "foxglove.RawImage"
    schema, _, raw = data[1:].partition(b"\x00--\x00")
    return converter(name, schema)(raw)


@cache
def _bag(kind: str) -> list[bytes]:
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin, Writer

    from mapkd_core.bags.typestore import typestore

    folder = Path(tempfile.mkdtemp(dir=_folder()))
    topics = {
        "/cam_front/image/compressed": "compressed", "/cam_front/camera_info": "camera_info",
        "/tf_static": "transforms", "/lidar_top": "cloud",
    }  # fmt: skip
    stamps = (1_600_000_000_000_000_000, 1_600_000_000_100_000_000)
    if kind == "bag":
        with Writer1(folder / "a.bag") as one:
            for topic, name in topics.items():
                link = one.add_connection(topic, MESSAGES[name], typestore=typestore())
                for at in stamps:
                    one.write(link, at, typestore().cdr_to_ros1(_messages()[name], MESSAGES[name]))
    else:
        plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        with Writer(folder / "a", version=8, storage_plugin=plugin) as two:
            for topic, name in topics.items():
                made = two.add_connection(topic, MESSAGES[name], typestore=typestore())
                for at in stamps:
                    two.write(made, at, _messages()[name])
    data = next(folder.rglob(f"*.{kind}")).read_bytes()
    shutil.rmtree(folder)
    return [data]


def _message(name: str) -> list[bytes]:
    return [_messages()[name]]


@cache
def _messages() -> dict[str, bytes]:
    from mapkd_core.bags import to_messages as to
    from mapkd_core.bags.typestore import make, typestore
    from mapkd_core.grid import BevGrid
    from mapkd_core.types import Camera, MapElement

    at = 1_600_000_000_000_000_000
    camera = Camera("CAM_FRONT", None, np.array(seeds._K), np.eye(4), 32, 18)
    header = to.header(at, "cam_front")
    pixels = np.arange(4 * 3 * 3, dtype=np.uint8)
    image = make(
        "sensor_msgs/msg/Image", header=header, height=3, width=4, encoding="rgb8", is_bigendian=0, step=12, data=pixels
    )
    compressed = make(MESSAGES["compressed"], header=header, format="jpeg", data=np.frombuffer(seeds.jpeg(), np.uint8))
    line = MapElement("divider", np.array(seeds._LINE))
    made = {
        "image": image,
        "compressed": compressed,
        "camera_info": to.camera_info(at, "cam_front", camera),
        "cloud": to.point_cloud(at, "lidar_top", np.ones((5, 5), np.float32)),
        "transforms": to.transforms(at, [("base_link", "cam_front", np.eye(4))]),
        "vectors": to.vector_map(at, "base_link", [line], BevGrid(-3.0, 3.0, -1.5, 1.5, 0.5)),
    }
    packed = {name: bytes(typestore().serialize_cdr(message, MESSAGES[name])) for name, message in made.items()}
    return packed | {"semantic": _semantic(header, made["vectors"].input)}


def _semantic(header: Any, status: Any) -> bytes:
    from mapkd_core.bags.typestore import make, typestore

    zero = make("geometry_msgs/msg/Point", x=-3.0, y=-1.5, z=0.0)
    turn = make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    time = make("builtin_interfaces/msg/Time", sec=0, nanosec=0)
    info = make(
        "nav_msgs/msg/MapMetaData", map_load_time=time, resolution=0.5, width=12, height=6,
        origin=make("geometry_msgs/msg/Pose", position=zero, orientation=turn),
    )  # fmt: skip
    message = make(
        MESSAGES["semantic"], header=header, info=info, encoding=0, layers=["divider"],
        data=np.zeros(72, np.uint8), observed=np.ones(72, np.uint8), input=status,
    )  # fmt: skip
    return bytes(typestore().serialize_cdr(message, MESSAGES["semantic"]))


@cache
def _foxglove() -> list[bytes]:
    """An image's schema, made here: the real ones need the package `foxglove`."""
    from google.protobuf import descriptor_pb2 as pb

    field = pb.FieldDescriptorProto
    stamp = pb.FileDescriptorProto(name="t.proto", package="google.protobuf", syntax="proto3")
    moment = stamp.message_type.add(name="Timestamp")
    for number, name in enumerate(("seconds", "nanos"), 1):
        moment.field.add(name=name, number=number, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    file = pb.FileDescriptorProto(name="i.proto", package="foxglove", dependency=["t.proto"], syntax="proto3")
    image = file.message_type.add(name="CompressedImage")
    image.field.add(
        name="timestamp", number=1, type=field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp",
        label=field.LABEL_OPTIONAL,
    )  # fmt: skip
    for number, (name, kind) in enumerate(
        (("frame_id", field.TYPE_STRING), ("data", field.TYPE_BYTES), ("format", field.TYPE_STRING)), 2
    ):
        image.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    schema = pb.FileDescriptorSet(file=[stamp, file]).SerializeToString()
    raw = b"\x0a\x04\x08\x05\x10\x07\x12\x03cam\x1a\x04\xff\xd8\xff\xd9\x22\x04jpeg"
    return [b"\x00" + schema + b"\x00--\x00" + raw]
