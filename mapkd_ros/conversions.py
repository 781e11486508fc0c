# SPDX-License-Identifier: Apache-2.0
"""Sensor messages -> numpy and core types. Pure functions; ValueError says what is wrong with a message.

The other direction, from the core's map to messages, is `map_messages`.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_codec import UnsupportedEncoding, decode_compressed, decode_raw
from mapkd_core.data.point_cloud import checked, point_columns
from mapkd_core.data.reduced import Fitted, Picture, Reduction, decode, fitted, whole
from mapkd_core.geometry import Matrix
from mapkd_ros.transforms import to_matrix

# Below this a distortion moves no pixel of a 1600 x 900 image by more than a tenth.
_DISTORTION_TOLERANCE = 1e-4


def stamp_ns(stamp: Any) -> int:
    """builtin_interfaces/Time (or Duration) -> nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def image_array(message: Any) -> NDArray[np.uint8]:
    """sensor_msgs/Image or CompressedImage -> H W 3 RGB, a view where the encoding allows it.

    Encodings beyond rgb8, bgr8, rgba8, bgra8, mono8 go through cv_bridge, imported only then.
    ValueError for damaged images and for encodings that nobody here can read.
    """
    if hasattr(message, "format"):
        return decode_compressed(message.format, message.data)
    try:
        return decode_raw(
            message.encoding, message.width, message.height, message.step, message.is_bigendian, message.data
        )
    except UnsupportedEncoding as unsupported:
        return _bridged(message, unsupported)


def picture(message: Any, reduction: Reduction = whole) -> Picture | Fitted:
    """As `image_array`; at the size of the network that `reduction` is for, if any."""
    if hasattr(message, "format"):
        return fitted(decode(message.format, message.data, reduction), reduction)
    return fitted(Picture(image_array(message)), reduction)


def intrinsics(info: Any, width: int, height: int, is_rectified: bool = False) -> Matrix:
    """sensor_msgs/CameraInfo -> 3x3 K in pixels of an image of `width` x `height`.

    A CameraInfo of another size is scaled only for one whole binning factor in both directions.
    is_rectified: the images come from image_proc, so P holds and D describes the raw image. Otherwise D must be zero.
    """
    K = np.array(info.p, np.float64).reshape(3, 4)[:, :3] if is_rectified and info.p[0] > 0 else _matrix_k(info)
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError(f"CameraInfo is not calibrated: fx {K[0, 0]:g}, fy {K[1, 1]:g}; publish K from a calibration")
    if not is_rectified and info.distortion_model == "equidistant":  # a fish-eye lens, whatever its D
        raise ValueError(
            "images are of a fish-eye lens (distortion_model equidistant); feed image_proc's rectified topic and set "
            "cameras.images_are_rectified: true"
        )
    if not is_rectified and any(not abs(d) <= _DISTORTION_TOLERANCE for d in info.d):
        raise ValueError(
            f"images are distorted (D = {[round(float(d), 4) for d in info.d]}); feed image_proc's rectified topic "
            "and set cameras.images_are_rectified: true"
        )
    factor = _binning(info, width, height)
    if factor != 1:
        # Pixel centres: (u + 0.5) shrinks by the factor, not u.
        K[:2, 2] = (K[:2, 2] + 0.5) * factor - 0.5
        K[0, :2] *= factor
        K[1, 1] *= factor
    return K


def odometry_pose(message: Any) -> Matrix:
    """nav_msgs/Odometry -> odom_T_ego; ValueError when it is no rigid pose."""
    return to_matrix(message.pose.pose.position, message.pose.pose.orientation)


def cloud_array(message: Any, fields: tuple[str, ...] = ("x", "y", "z", "intensity")) -> NDArray[np.float32]:
    """sensor_msgs/PointCloud2 -> P x len(fields) float32 in the message's own frame, points without x y z left out.

    A field that the cloud lacks is zero, but x, y and z must be there. ValueError for sizes that contradict each other,
    which sensor_msgs_py would not notice. Where that package is not installed the core's reader gives the same.
    """
    present, _ = checked(message, fields)
    try:
        from sensor_msgs_py.point_cloud2 import read_points
    except ImportError:
        points = point_columns(message, fields)
    else:
        structured = read_points(_plain(message, present), field_names=list(present), skip_nans=False)
        points = np.zeros((structured.size, len(fields)), np.float32)
        with np.errstate(over="ignore"):  # a double beyond float32 is infinite, and left out as such
            for name in present:
                points[:, fields.index(name)] = structured[name].ravel()
    return points[np.isfinite(points[:, :3]).all(1)]


def _plain(message: Any, fields: dict[str, Any]) -> Any:
    """As sensor_msgs_py reads right: these fields once each, rows without padding; it swaps bytes in place."""
    from sensor_msgs.msg import PointCloud2, PointField

    wanted = [PointField(name=n, offset=f.offset, datatype=f.datatype, count=1) for n, f in fields.items()]
    data, length = message.data, message.width * message.point_step
    if message.row_step != length:
        rows = np.frombuffer(data, np.uint8).reshape(message.height, message.row_step)
        data = array("B", rows[:, :length].tobytes())
    elif message.is_bigendian:
        data = array("B", bytes(data))
    return PointCloud2(
        height=message.height, width=message.width, fields=wanted, is_bigendian=message.is_bigendian,
        point_step=message.point_step, row_step=length, data=data,
    )  # fmt: skip


def _matrix_k(info: Any) -> Matrix:
    return np.array(info.k, np.float64).reshape(3, 3)


def _binning(info: Any, width: int, height: int) -> float:
    """Image size over CameraInfo size: 1 or 1 / n for a whole n."""
    if info.roi.width not in (0, info.width) or info.roi.height not in (0, info.height):
        raise ValueError(f"CameraInfo has a region of interest ({info.roi.width} x {info.roi.height}): not supported")
    if (info.width, info.height) == (width, height):
        return 1.0
    if info.width <= 0 or info.height <= 0:
        raise ValueError(f"CameraInfo says {info.width} x {info.height} pixels; publish the image's {width} x {height}")
    factor = round(info.width / width) if width else 0
    if factor > 1 and (info.width, info.height) == (width * factor, height * factor):
        return 1.0 / factor
    raise ValueError(
        f"CameraInfo is for {info.width} x {info.height} pixels, the image has {width} x {height}: no whole binning "
        "factor between them; publish the CameraInfo of this image"
    )


def _bridged(message: Any, unsupported: UnsupportedEncoding) -> NDArray[np.uint8]:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except Exception as error:  # ImportError, or AttributeError where it was built for another numpy
        raise ValueError(f"{unsupported}; cv_bridge might read it, but: {error}") from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8"))
    except (CvBridgeError, ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{unsupported}; cv_bridge says: {error}") from error
