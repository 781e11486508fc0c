# SPDX-License-Identifier: Apache-2.0
"""ROS messages as rosbags deserialises them -> core types: the inverse of to_messages.py, for anybody's bag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.typestore import class_ids
from mapkd_core.data.calibration import CameraCalibration, intrinsics
from mapkd_core.data.image_codec import Pixels, decode_compressed, decode_raw
from mapkd_core.geometry import quaternion_to_rotation, transform
from mapkd_core.types import CLASSES, MapElement

Matrix = NDArray[np.float64]
RAW_IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"

# sensor_msgs/PointField.datatype -> numpy
_POINT_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


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
    fields = {field.name: field for field in message.fields}
    if missing := {"x", "y", "z"} - set(fields):
        raise ValueError(f"point cloud has no field {', '.join(sorted(missing))}; it has {', '.join(fields)}")
    names = [name for name in ("x", "y", "z", "intensity", "ring") if name in fields]
    order = ">" if message.is_bigendian else "<"
    if unknown := [f"{name} of {fields[name].datatype}" for name in names if fields[name].datatype not in _POINT_TYPES]:
        raise ValueError(f"point cloud has {', '.join(unknown)}; types are 1 to 8 of sensor_msgs/PointField")
    for name in names:  # numpy's own check overflows near 2^31, and then reads anywhere
        end = fields[name].offset + np.dtype(_POINT_TYPES[fields[name].datatype]).itemsize
        if end > message.point_step:
            raise ValueError(
                f"point cloud's {name} ends at byte {end} of points of {message.point_step} bytes"
            )
    height, width = message.height, message.width
    if message.row_step < width * message.point_step or message.data.size != height * message.row_step:
        raise ValueError(
            f"point cloud of {width} x {height} points, point_step {message.point_step}, row_step {message.row_step} "
            f"has {message.data.size} bytes of data"
        )
    layout = np.dtype(
        {
            "names": names,
            "formats": [order + _POINT_TYPES[fields[name].datatype] for name in names],
            "offsets": [fields[name].offset for name in names],
            "itemsize": message.point_step,
        }
    )
    rows = np.ndarray((height, width), layout, message.data, strides=(message.row_step, message.point_step))
    out = np.zeros((height * width, 5 if "ring" in fields else 4), np.float32)
    for name in names:
        out[:, ("x", "y", "z", "intensity", "ring").index(name)] = rows[name].ravel()
    return out


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
