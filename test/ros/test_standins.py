# SPDX-License-Identifier: Apache-2.0
"""What we use of message_filters, cv_bridge and sensor_msgs_py: true of the real packages and of our stand-ins.

With a distribution these tests run against the real ones; the refusals at the end are the stand-ins' alone.
"""

from __future__ import annotations

import array
import math
import time

import cv_bridge
import message_filters
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header, String

is_stand_in = "Stand-in" in (cv_bridge.__doc__ or "")
only_stand_in = pytest.mark.skipif(not is_stand_in, reason="the real packages are installed")
RED, GREEN, GREY = (230, 20, 40), (20, 210, 60), (128, 128, 128)


def image_message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """Message of H W [C] pixels with `padding` bytes after each row."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    return message


def plane(rgb, height=4, width=6) -> np.ndarray:
    return np.full((height, width, 3), rgb, np.uint8)


# ---- message_filters -------------------------------------------------------------------------------------------------


def test_filter_calls_back_in_order_with_extra_arguments():
    heard, chain = [], message_filters.SimpleFilter()
    chain.registerCallback(lambda *given: heard.append(given), "first")
    chain.registerCallback(lambda *given: heard.append(given), "second", 2)
    chain.signalMessage("a", "b")
    assert heard == [("a", "b", "first"), ("a", "b", "second", 2)]


def test_subscriber_hands_on_what_is_published():
    rclpy.init()
    node = rclpy.create_node("test_standins")
    heard = []
    source = message_filters.Subscriber(node, String, "words", qos_profile=qos_profile_sensor_data)
    source.registerCallback(lambda message, camera: heard.append((message.data, camera)), "front")
    publisher = node.create_publisher(String, "words", qos_profile_sensor_data)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + 10
    while not heard and time.monotonic() < end:
        publisher.publish(String(data="hello"))
        executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    assert heard[0] == ("hello", "front")
    assert source.getTopic() == "words"


# ---- cv_bridge -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("colour", [RED, GREEN])
def test_packed_colours_become_rgb(colour, padding):
    bridge, rgb = cv_bridge.CvBridge(), plane(colour)
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    for encoding, pixels in {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], -1),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], -1),
    }.items():
        assert np.array_equal(bridge.imgmsg_to_cv2(image_message(pixels, encoding, padding), "rgb8"), rgb), encoding


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_name_the_first_two_rows(pattern):
    """A mosaic made by the definition of the encoding (first row, second row) comes back in its own colour."""
    for colour in (RED, GREEN):
        level = dict(zip("rgb", colour, strict=True))
        tile = np.array([level[c] for c in pattern], np.uint8).reshape(2, 2)
        mosaic = np.tile(tile, (8, 8))
        rgb = cv_bridge.CvBridge().imgmsg_to_cv2(image_message(mosaic, f"bayer_{pattern}8"), "rgb8")
        assert np.abs(rgb[4:-4, 4:-4].astype(int) - colour).max() <= 1
        deep = image_message(mosaic.astype(np.uint16) * 257, f"bayer_{pattern}16")
        if is_stand_in:
            assert np.array_equal(cv_bridge.CvBridge().imgmsg_to_cv2(deep, "rgb8"), rgb)


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv422_byte_order(encoding, order):
    """BT.601 worked by hand: red has a low U (blue difference) and a high V (red difference)."""
    red, green, blue = RED
    y = 16 + (65.74 * red + 129.06 * green + 25.06 * blue) / 256
    u = 128 + (-37.95 * red - 74.49 * green + 112.44 * blue) / 256
    v = 128 + (112.44 * red - 94.15 * green - 18.29 * blue) / 256
    levels = {"y": round(y), "u": round(u), "v": round(v)}
    pixels = np.tile(np.array([levels[c] for c in order], np.uint8).reshape(1, 2, 2), (4, 3, 1))
    rgb = cv_bridge.CvBridge().imgmsg_to_cv2(image_message(pixels, encoding), "rgb8")
    assert rgb.shape == (4, 6, 3)
    assert np.abs(rgb.astype(int) - RED).max() <= 3


def test_mono16_is_scaled_and_16uc1_passes_through():
    bridge = cv_bridge.CvBridge()
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert bridge.imgmsg_to_cv2(image_message(deep, "mono16"), "mono8").tolist() == [[0, 1, 128, 255]]
    assert np.array_equal(bridge.imgmsg_to_cv2(image_message(deep, "16UC1", padding=4)), deep)
    swapped = image_message(deep.byteswap(), "16UC1")
    swapped.is_bigendian = 1
    assert np.array_equal(bridge.imgmsg_to_cv2(swapped), deep)


def test_mono8_becomes_grey():
    rgb = cv_bridge.CvBridge().imgmsg_to_cv2(image_message(plane(GREY)[..., 0], "mono8"), "rgb8")
    assert np.array_equal(rgb, plane(GREY))


@pytest.mark.parametrize(("encoding", "wanted"), [("16UC1", "rgb8"), ("h264", "passthrough"), ("rgb8", "yuv422")])
def test_what_cannot_be_converted_raises(encoding, wanted):
    with pytest.raises(cv_bridge.CvBridgeError):
        cv_bridge.CvBridge().imgmsg_to_cv2(image_message(np.zeros((2, 2), np.uint16), encoding), wanted)


# ---- sensor_msgs_py --------------------------------------------------------------------------------------------------

XYZ = np.array([[1.0, 2.0, 3.0], [math.nan, 5.0, 6.0], [7.0, 8.0, 9.0]], np.float32)


def mixed_cloud() -> PointCloud2:
    """Two points of x (float32), ring (uint16) and time (float64) with gaps between the fields."""
    dtype = np.dtype({"names": ["x", "ring", "time"], "formats": ["f4", "u2", "f8"], "offsets": [0, 4, 8]})
    points = np.array([(1.5, 7, 0.25), (-2.5, 9, 0.5)], dtype)
    kinds = (PointField.FLOAT32, PointField.UINT16, PointField.FLOAT64)
    fields = [
        PointField(name=name, offset=offset, datatype=kind, count=1)
        for name, offset, kind in zip(dtype.names, (0, 4, 8), kinds, strict=True)
    ]
    return point_cloud2.create_cloud(Header(frame_id="lidar_top"), fields, points)


def test_xyz_cloud_round_trip():
    cloud = point_cloud2.create_cloud_xyz32(Header(frame_id="lidar_top"), XYZ)
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 3, 12, 36)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
    ]
    assert bytes(cloud.data) == XYZ.tobytes() and cloud.header.frame_id == "lidar_top"
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), XYZ)
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud, ["z", "x"], skip_nans=True), [[3, 1], [9, 7]])


def test_fields_of_different_types_keep_their_types():
    points = point_cloud2.read_points(mixed_cloud(), field_names=["ring", "x"])
    assert points.dtype["ring"] == np.uint16
    assert points["ring"].tolist() == [7, 9] and points["x"].tolist() == [1.5, -2.5]
    with pytest.raises(AssertionError):
        point_cloud2.read_points_numpy(mixed_cloud(), field_names=["x"])
    with pytest.raises(AssertionError):
        point_cloud2.read_points(mixed_cloud(), field_names=["intensity"])


def test_organized_cloud_keeps_its_shape():
    cloud = mixed_cloud()
    cloud.height, cloud.width, cloud.row_step = 2, 1, cloud.point_step
    assert point_cloud2.read_points(cloud, reshape_organized_cloud=True).shape == (2, 1)


# ---- what only the stand-ins refuse ----------------------------------------------------------------------------------


@only_stand_in
def test_stand_ins_refuse_the_rest_by_name():
    with pytest.raises(AttributeError, match=r"message_filters\.TimeSynchronizer.*stand-in"):
        message_filters.TimeSynchronizer  # noqa: B018
    with pytest.raises(AttributeError, match=r"CvBridge\.cv2_to_imgmsg.*stand-in"):
        cv_bridge.CvBridge().cv2_to_imgmsg(np.zeros((2, 2), np.uint8))
    with pytest.raises(AttributeError, match=r"point_cloud2\.read_points_list.*stand-in"):
        point_cloud2.read_points_list  # noqa: B018
    with pytest.raises(ValueError, match="uvs"):
        point_cloud2.read_points(mixed_cloud(), uvs=[0])
    with pytest.raises(ImportError):
        from message_filters import ApproximateTimeSynchronizer  # noqa: F401


@only_stand_in
def test_short_data_is_refused_with_the_numbers():
    message = image_message(plane(RED), "rgb8")
    message.data = message.data[:-1]
    with pytest.raises(cv_bridge.CvBridgeError, match="71 bytes with step 18 hold no 6 x 4"):
        cv_bridge.CvBridge().imgmsg_to_cv2(message)


@only_stand_in
def test_padded_rows_of_a_cloud_are_left_out():
    cloud = point_cloud2.create_cloud_xyz32(Header(), np.arange(12, dtype=np.float32).reshape(4, 3))
    rows = np.frombuffer(bytes(cloud.data), np.uint8).reshape(2, 24)
    cloud.height, cloud.width, cloud.row_step = 2, 2, 32
    cloud.data = array.array("B", np.pad(rows, ((0, 0), (0, 8))).tobytes())
    assert point_cloud2.read_points_numpy(cloud)[:, 0].tolist() == [0, 3, 6, 9]
