# SPDX-License-Identifier: Apache-2.0
"""Messages to arrays and back, with hand-worked numbers; what is refused, and how quick the outputs are."""

from __future__ import annotations

import time
from array import array
from itertools import product

import numpy as np
import pytest
from geometry_msgs.msg import Point32
from mapkd.msg import BevSemanticMap, InputStatus
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap, MapElement
from mapkd_ros.conversions import cloud_array, image_array, intrinsics, odometry_pose
from mapkd_ros.map_messages import (
    elements,
    grid_of,
    header,
    input_status,
    layer_info,
    probability_layers,
    processing_time,
    semantic_map,
    vector_map,
)

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def info(width=1600, height=900, **fields) -> CameraInfo:
    k = [1200.0, 0.0, 799.5, 0.0, 1200.0, 449.5, 0.0, 0.0, 1.0]
    return CameraInfo(**{"width": width, "height": height, "k": k, "d": [0.0] * 5, **fields})


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_every_common_encoding_gives_the_same_rgb(encoding, padding):
    channels = PIXELS[..., ::-1] if encoding.startswith("bgr") else PIXELS
    if encoding.endswith("a8"):
        channels = np.dstack([channels, np.full((2, 3), 255, np.uint8)])
    rows = np.pad(channels.reshape(2, -1), ((0, 0), (0, padding)), constant_values=99)
    data = array("B", rows.tobytes())
    message = Image(width=3, height=2, encoding=encoding, step=rows.shape[1], data=data)
    np.testing.assert_array_equal(image_array(message), PIXELS)


def test_encodings_beyond_the_common_go_through_cv_bridge_or_say_so():
    data = array("B", bytes([0, 10, 0, 20]))
    with pytest.raises(ValueError, match="16UC1"):
        image_array(Image(width=2, height=1, encoding="16UC1", step=4, data=data))
    with pytest.raises(ValueError, match="no_such_encoding"):
        image_array(Image(width=2, height=1, encoding="no_such_encoding", step=4, data=data))


def test_damaged_images_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"17 bytes.*step 9"):
        image_array(Image(width=3, height=2, encoding="rgb8", step=9, data=array("B", bytes(17))))
    with pytest.raises(ValueError, match="neither jpeg nor png"):
        image_array(CompressedImage(format="jpeg", data=array("B", b"hello world")))


def test_intrinsics_pass_unchanged_and_shrink_by_whole_binning_about_pixel_centres():
    np.testing.assert_array_equal(intrinsics(info(), 1600, 900), [[1200, 0, 799.5], [0, 1200, 449.5], [0, 0, 1]])
    # 1600 -> 400: the image centre 799.5 becomes 199.5.
    np.testing.assert_allclose(intrinsics(info(), 400, 225), [[300, 0, 199.5], [0, 300, 112.0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({}, (1280, 720), "1600 x 900 pixels, the image has 1280 x 720"),
        ({}, (800, 225), "no whole binning"),
        ({"k": np.zeros(9)}, (1600, 900), "not calibrated"),
        ({"k": [float("nan")] * 9}, (1600, 900), "not calibrated"),
        ({"d": [-0.3, 0.1, 0.0, 0.0, 0.0]}, (1600, 900), "distorted"),
        ({"d": [float("nan")]}, (1600, 900), "distorted"),
        ({"distortion_model": "equidistant"}, (1600, 900), "fish-eye"),
        ({"width": 0, "height": 0}, (1600, 900), "0 x 0"),
    ],
)
def test_a_camera_info_that_does_not_fit_is_refused(changes, size, message):
    with pytest.raises(ValueError, match=message):
        intrinsics(info(**changes), *size)


def test_rectified_images_use_p_and_ignore_the_distortion_of_the_raw_image():
    p = [1000.0, 0.0, 800.0, 0.0, 0.0, 1000.0, 450.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    K = intrinsics(info(p=p, d=[-0.3, 0.1, 0.0, 0.0, 0.0]), 1600, 900, is_rectified=True)
    np.testing.assert_array_equal(K, [[1000, 0, 800], [0, 1000, 450], [0, 0, 1]])


def test_odometry():
    message = Odometry()
    message.pose.pose.position.x = 3.0
    message.pose.pose.orientation.z = message.pose.pose.orientation.w = np.sqrt(0.5)
    np.testing.assert_allclose(odometry_pose(message)[:2], [[0, -1, 0, 3], [1, 0, 0, 0]], atol=1e-12)
    message.pose.pose.position.x = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        odometry_pose(message)


def test_a_cloud_of_any_layout_becomes_xyz_intensity():
    kinds = [("z", 0), ("x", 8), ("intensity", 4), ("y", 12)]
    rows = np.array([[3, 9, 1, 2], [30, 90, 10, 20], [np.nan, 0, 0, 0]], np.float32)
    fields = [PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1) for name, offset in kinds]
    data = array("B", rows.tobytes())
    cloud = PointCloud2(height=1, width=3, fields=fields, point_step=16, row_step=48, data=data)
    np.testing.assert_array_equal(cloud_array(cloud), [[1, 2, 3, 9], [10, 20, 30, 90]])
    cloud.fields = cloud.fields[1:]
    with pytest.raises(ValueError, match="has no field z"):
        cloud_array(cloud)


@pytest.mark.parametrize("change", [{"offset": 2**31 - 4}, {"point_step": 8}, {"row_step": 8}, {"height": 2}])
def test_a_cloud_whose_sizes_contradict_its_data_is_refused(change):
    """Real messages: the offset alone made numpy read two gigabytes beyond the data."""
    cloud = point_cloud2.create_cloud_xyz32(Header(), np.ones((2, 3), np.float32))
    for name, value in change.items():
        setattr(cloud.fields[2] if name == "offset" else cloud, name, value)
    with pytest.raises(ValueError, match="point cloud"):
        cloud_array(cloud)


def test_a_cloud_reads_as_by_sensor_msgs_py_but_for_the_padding_of_rows():
    """Two rows of two points, four bytes of padding after each; one field counts two values."""
    points = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.float64)
    fields = [PointField(name=n, offset=8 * i, datatype=PointField.FLOAT64, count=1) for i, n in enumerate("xyz")]
    cloud = point_cloud2.create_cloud(Header(), fields, points)
    by_library = point_cloud2.read_points(cloud)
    np.testing.assert_array_equal(cloud_array(cloud, ("z", "y", "x"))[:, ::-1], points.reshape(-1, 3))
    np.testing.assert_array_equal(cloud_array(cloud, ("x",))[:, 0], by_library["x"].ravel())
    rows = np.zeros((2, 52), np.uint8)
    rows[:, :48] = np.frombuffer(cloud.data, np.uint8).reshape(2, 48)
    cloud.row_step, cloud.data = 52, array("B", rows.tobytes())
    np.testing.assert_array_equal(cloud_array(cloud, ("x", "y", "z")), points.reshape(-1, 3))


@pytest.fixture(scope="module")
def full_map():
    """A map as large as they come: 50 polylines of 20 points, three full layers."""
    rng = np.random.default_rng(0)
    lines = tuple(
        MapElement(CLASSES[i % 3], rng.uniform(-15, 15, (20, 2)), i % 3 == 1, float(1 - i / 50)) for i in range(50)
    )
    grid = BevGrid()
    probability = rng.integers(0, 256, (3, *grid.shape), dtype=np.uint8)
    return LocalMap(grid, lines, CLASSES, probability, rng.random(grid.shape) > 0.5, 1_700_000_000_123_456_789)


def test_maps_survive_the_round_trip(full_map):
    head = header(full_map.stamp_ns, "base_link")
    assert (head.stamp.sec, head.stamp.nanosec) == (1_700_000_000, 123_456_789)
    back = elements(vector_map(full_map, head, InputStatus(), "m@1"))
    for given, found in zip(full_map.elements, back, strict=True):
        assert (given.class_name, given.is_closed) == (found.class_name, found.is_closed)
        assert found.confidence == pytest.approx(given.confidence)
        np.testing.assert_allclose(found.vertices_m, given.vertices_m, atol=1e-5)
    message = semantic_map(full_map, head, InputStatus())
    assert grid_of(message) == full_map.grid
    np.testing.assert_array_equal(probability_layers(message), full_map.probability)
    assert message.data[(2 * 200 + 7) * 400 + 5] == full_map.probability[2, 7, 5]
    np.testing.assert_array_equal(np.frombuffer(message.observed, np.uint8).reshape(200, 400), full_map.observed)


def test_whole_numbers_as_yaml_gives_them_become_floats():
    line = MapElement("divider", np.array([[0, 1], [2, 3]]))
    whole = LocalMap(BevGrid(-30, 30, -15, 15, 1), (line,), CLASSES, np.zeros((3, 30, 60), np.uint8))
    head = header(1, "base_link")
    assert vector_map(whole, head, InputStatus(), "m").range_max.x == 30.0
    assert semantic_map(whole, head, InputStatus()).info.origin.position.y == -15.0


def test_building_the_outputs_is_quick(full_map):
    """Beside the bare messages of its thousand points, built in turns with it: a machine's speed does not matter."""
    head, status = header(full_map.stamp_ns, "base_link"), InputStatus()
    states = dict.fromkeys("ABCDEF", "ok")
    builders = {
        "points": lambda: [Point32(x=1.0, y=2.0, z=0.0) for _ in range(1000)],
        "semantic_map": lambda: semantic_map(full_map, head, status),
        "vector_map": lambda: vector_map(full_map, head, status, "m@1"),
        "input_status": lambda: input_status(states, {}),
        "processing_time": lambda: processing_time({"network": 3.0}, head, 5.0),
        "layer_info": lambda: layer_info(CLASSES, head),
    }
    times = {name: [] for name in builders}
    for _, (name, build) in product(range(30), builders.items()):
        begin = time.thread_time()
        build()
        times[name].append(time.thread_time() - begin)
    # The best of many: what the code costs, not what else runs on this machine.
    points = min(times.pop("points"))
    shares = {name: min(took) / points for name, took in times.items()}
    assert all(share < (2.0 if name == "vector_map" else 0.3) for name, share in shares.items()), shares


def test_a_map_without_layers_or_with_wrong_sizes_is_refused(full_map):
    with pytest.raises(ValueError, match="vectors only"):
        semantic_map(LocalMap(BevGrid(), ()), header(1, "b"), InputStatus())
    message = semantic_map(full_map, header(1, "b"), InputStatus())
    message.layers = ["divider"]
    with pytest.raises(ValueError, match="240000 bytes"):
        probability_layers(message)
    message.encoding = BevSemanticMap.ENCODING_LABEL
    with pytest.raises(ValueError, match="encoding 1"):
        probability_layers(message)


def test_input_status_holds_states_and_negative_offsets():
    message = input_status({"A": "ok", "B": "too_far", "C": "rejected", "D": "reused"}, {"A": -25_000_000}, True)
    ok, stale, rejected, reused = (
        InputStatus.CAMERA_OK,
        InputStatus.CAMERA_STALE,
        InputStatus.CAMERA_REJECTED,
        InputStatus.CAMERA_REUSED,
    )
    assert list(message.camera_states) == [ok, stale, rejected, reused] and message.temporal_reset
    assert (message.camera_offsets[0].sec, message.camera_offsets[0].nanosec) == (-1, 975_000_000)
