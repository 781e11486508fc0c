# SPDX-License-Identifier: Apache-2.0
"""Foxglove's protobuf messages, as its nuscenes2mcap writes them, turned into the ROS messages that mean the same.

An MCAP file carries the schemas of its messages as a protobuf FileDescriptorSet; the classes are made from that, so
that every generation of the schemas is read (https://docs.foxglove.dev/docs/sdk/schemas). Fields are asked for by
name: a transform holds translation and rotation since 2022-08, before that a message `transform` held both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from mapkd_core.bags import from_messages, to_messages
from mapkd_core.bags.typestore import make, typestore
from mapkd_core.geometry import apply

ROS_TYPES = {
    "foxglove.CompressedImage": "sensor_msgs/msg/CompressedImage",
    "foxglove.RawImage": "sensor_msgs/msg/Image",
    "foxglove.CameraCalibration": "sensor_msgs/msg/CameraInfo",
    "foxglove.PointCloud": "sensor_msgs/msg/PointCloud2",
    "foxglove.FrameTransform": "tf2_msgs/msg/TFMessage",
    "foxglove.FrameTransforms": "tf2_msgs/msg/TFMessage",
}

# foxglove.PackedElementField.NumericType -> sensor_msgs/PointField.datatype: both count eight types, in another order
_POINT_TYPES = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 7, 8: 8}


def converter(schema: str, descriptors: bytes) -> Callable[[Any], bytes | memoryview | None]:
    """Protobuf bytes of `schema` -> CDR of its ROS type; None where a message is damaged.

    descriptors: a serialised google.protobuf.FileDescriptorSet. Raises ValueError where it does not define `schema`.
    """
    from google.protobuf.message import DecodeError

    kind, type_name, as_ros = _message_class(schema, descriptors), ROS_TYPES[schema], _AS_ROS[schema]

    def convert(raw: Any) -> bytes | memoryview | None:
        try:
            return typestore().serialize_cdr(as_ros(kind.FromString(bytes(raw))), type_name)
        # Fields may be missing, of another type, or too large for their counterpart.
        except (DecodeError, ValueError, KeyError, AttributeError, TypeError, OverflowError, struct.error):
            return None

    return convert


def _message_class(schema: str, descriptors: bytes) -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    pool = descriptor_pool.DescriptorPool()
    try:
        files = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(bytes(descriptors)).file}
        while files:  # a file can be added after those that it imports
            ready = [name for name, file in files.items() if not set(file.dependency) & set(files)]
            if not ready:
                raise TypeError("its files import one another")
            for name in ready:
                pool.Add(files.pop(name))
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(schema))
    except (DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"the file's own definition of {schema} cannot be used: {error}") from error


def _stamp_ns(message: Any) -> int:
    return message.timestamp.seconds * 10**9 + message.timestamp.nanos


def _header(message: Any) -> Any:
    return to_messages.header(_stamp_ns(message), getattr(message, "frame_id", ""))  # older images carry no frame


def _compressed_image(m: Any) -> Any:
    data = np.frombuffer(m.data, np.uint8)
    return make("sensor_msgs/msg/CompressedImage", header=_header(m), format=m.format, data=data)


def _raw_image(m: Any) -> Any:
    return make(
        "sensor_msgs/msg/Image", header=_header(m), height=m.height, width=m.width, encoding=m.encoding,
        is_bigendian=0, step=m.step, data=np.frombuffer(m.data, np.uint8),
    )  # fmt: skip


def _camera_info(m: Any) -> Any:
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/msg/CameraInfo", header=_header(m), height=m.height, width=m.width,
        distortion_model=m.distortion_model, d=np.array(m.D, np.float64), k=_numbers(m.K, 9), r=_numbers(m.R, 9),
        p=_numbers(m.P, 12), binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def _numbers(values: Any, count: int) -> np.ndarray:
    """`count` numbers; zeros where the message leaves them out, which the reader then refuses by name."""
    return np.array(values, np.float64) if len(values) == count else np.zeros(count)


def _point_cloud(m: Any) -> Any:
    count, data = len(m.data) // max(m.point_stride, 1), np.frombuffer(m.data, np.uint8)
    fields = [
        make("sensor_msgs/msg/PointField", name=f.name, offset=f.offset, datatype=_POINT_TYPES[f.type], count=1)
        for f in m.fields
    ]
    cloud = make(
        "sensor_msgs/msg/PointCloud2", header=_header(m), height=1, width=count, fields=fields, is_bigendian=False,
        point_step=m.point_stride, row_step=m.point_stride * count, data=data, is_dense=False,
    )  # fmt: skip
    if not m.HasField("pose") or np.allclose(frame_T_points := from_messages.pose(m.pose), np.eye(4)):
        return cloud
    points = from_messages.points(cloud)
    points[:, :3] = apply(frame_T_points, points[:, :3])
    return to_messages.point_cloud(_stamp_ns(m), m.frame_id, points)


def _transforms(m: Any) -> Any:
    moved = [_transform(item) for item in (m.transforms if hasattr(m, "transforms") else [m])]
    return make("tf2_msgs/msg/TFMessage", transforms=moved)


def _transform(m: Any) -> Any:
    held = m.transform if hasattr(m, "transform") else m
    message = to_messages.transforms(_stamp_ns(m), [(m.parent_frame_id, m.child_frame_id, from_messages.pose(held))])
    return message.transforms[0]


_AS_ROS: dict[str, Callable[[Any], Any]] = {
    "foxglove.CompressedImage": _compressed_image,
    "foxglove.RawImage": _raw_image,
    "foxglove.CameraCalibration": _camera_info,
    "foxglove.PointCloud": _point_cloud,
    "foxglove.FrameTransform": _transforms,
    "foxglove.FrameTransforms": _transforms,
}
