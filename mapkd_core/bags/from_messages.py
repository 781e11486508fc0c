# SPDX-License-Identifier: Apache-2.0
"""ROS messages as rosbags deserialises them -> core types: the inverse of to_messages.py, for anybody's bag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.typestore import class_ids
from mapkd_core.data.calibration import CameraCalibration, intrinsics
from mapkd_core.data.image_codec import Pixels, decode_compressed, decode_raw
from mapkd_core.data.point_cloud import point_columns
from mapkd_core.geometry import Matrix, quaternion_to_rotation, transform
from mapkd_core.types import CLASSES, MapElement

RAW_IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def stamp_ns(message_header: Any) -> int:
    return message_header.stamp.sec * 10**9 + message_header.stamp.nanosec


def image(type_name: str, message: Any) -> Pixels:
    """H W 3 RGB of an Image or CompressedImage; errors as in image_codec."""
    if type_name == COMPRESSED_IMAGE:
        return decode_compressed(message.format, message.data)
    m = message
    return decode_raw(m.encoding, m.width, m.height, m.step, m.is_bigendian, m.data)


def calibration(message: Any, where: str) -> tuple[CameraCalibration, float]:
    """(intrinsics of the image as published, largest distortion coefficient) of a CameraInfo.

    CameraInfo describes the full sensor: binning and region of interest are applied to K and size here.
    """
    K = intrinsics(message.k, f"{where}: K").copy()
    width, height = int(message.width), int(message.height)
    if width <= 0 or height <= 0:
        raise ValueError(f"{where}: CameraInfo of {width} x {height} pixels is empty")
    if message.roi.width and message.roi.height:
        K[0, 2] -= message.roi.x_offset
        K[1, 2] -= message.roi.y_offset
        width, height = int(message.roi.width), int(message.roi.height)
    binning = max(1, int(message.binning_x)), max(1, int(message.binning_y))
    K[0] /= binning[0]
    K[1] /= binning[1]
    distortion = float(np.abs(message.d).max()) if len(message.d) else 0.0
    return CameraCalibration(width // binning[0], height // binning[1], K), distortion


def pose(message: Any) -> Matrix:
    """4x4 of a geometry_msgs Pose or Transform."""
    position = getattr(message, "position", None) or message.translation
    orientation = getattr(message, "orientation", None) or message.rotation
    rotation = quaternion_to_rotation([orientation.x, orientation.y, orientation.z, orientation.w])
    return transform(rotation, [position.x, position.y, position.z])


def points(message: Any) -> NDArray[np.float32]:
    """P x 4 float32 x y z intensity, or P x 5 with ring, of a PointCloud2 in its own frame; padding is skipped."""
    has_ring = any(field.name == "ring" for field in message.fields)
    return point_columns(message, ("x", "y", "z", "intensity", *(("ring",) if has_ring else ())))


def elements(message: Any) -> tuple[MapElement, ...]:
    """Map elements of a VectorMap in its frame; elements of an unknown class are left out."""
    names = {number: name for name, number in class_ids().items() if number}
    return tuple(
        MapElement(
            names[line.class_id],
            np.array([(point.x, point.y) for point in line.points], np.float64).reshape(-1, 2),
            bool(line.is_closed),
            float(line.confidence),
        )
        for line in message.polylines
        if line.class_id in names
    )


def labelled(model_id: str) -> tuple[str, ...]:
    """Classes that a truth message speaks about: "truth" all, "truth:divider,boundary" those."""
    _, listed, names = model_id.partition(":")
    return tuple(name for name in CLASSES if name in names.split(",")) if listed else CLASSES
