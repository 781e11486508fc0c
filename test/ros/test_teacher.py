# SPDX-License-Identifier: Apache-2.0
"""The map node with a teacher's network: LiDAR and priors reach it, and one that is late or missing costs no map."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import MapPolyline, VectorMap
from nav_msgs.msg import Odometry
from rig import camera_transform, newest
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from tf2_msgs.msg import TFMessage

from mapkd_core.config import ModelConfig
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import MapElement
from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.lidar_input import LidarInput
from mapkd_ros.map_messages import header
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.prior_input import PriorInput
from mapkd_ros.transforms import TransformBuffer

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
FLOAT32, FLOAT64, UINT8 = PointField.FLOAT32, PointField.FLOAT64, PointField.UINT8


def cloud(at_ns: int, points, names=("x", "y", "z", "intensity"), kinds=None, frame: str = "lidar_top") -> PointCloud2:
    """Fields in the given order and types, after four bytes of padding."""
    kinds = kinds or [FLOAT32] * len(names)
    sizes = {FLOAT32: 4, FLOAT64: 8, UINT8: 1}
    fields, offset = [], 4
    for name, kind in zip(names, kinds, strict=True):
        fields.append(PointField(name=name, offset=offset, datatype=kind, count=1))
        offset += sizes[kind]
    dtype = point_cloud2.dtype_from_fields(fields, offset)
    rows = np.zeros(len(points), dtype)
    for column, name in enumerate(names):
        rows[name] = np.asarray(points)[:, column]
    message = PointCloud2(header=header(at_ns, frame), height=1, width=len(points), fields=fields, is_dense=True)
    message.point_step, message.row_step = offset, offset * len(points)
    message.data.frombytes(rows.tobytes())
    return message


def moving(at_ns: int):
    """10 m/s ahead; nobody knows before START_NS - 1 s."""
    return planar((at_ns - START_NS) / 1e8, 0, 0) if at_ns >= START_NS - 10**9 else None


@pytest.fixture
def transforms() -> TransformBuffer:
    """The LiDAR is 1 m ahead of the base."""
    buffer = TransformBuffer()
    buffer.add("base_link", "lidar_top", 0, planar(1, 0, 0), is_static=True)
    return buffer


def test_turns_are_joined_by_the_motion_between_them(transforms):
    """A post 20 m ahead of the base now is 21 m ahead of where it was 100 ms ago, and 20 m ahead of the LiDAR then."""
    lidar = LidarInput(transforms, "base_link", turns=2, max_age_ns=300 * MS)
    lidar.add(cloud(START_NS - 100 * MS, [(20.0, 0, 0, 7)]))
    lidar.add(cloud(START_NS, [(19.0, 0, 0, 9)]))
    lidar.add(cloud(START_NS + 100 * MS, [(18.0, 0, 0, 1)]))
    points = lidar.points_at(START_NS, moving)
    np.testing.assert_allclose(points, [(20, 0, 0, 9, 0, 0), (20, 0, 0, 7, 0, -0.1)], atol=1e-5)
    assert lidar.state()[1] == "active, 2 turns joined"
    alone = lidar.points_at(START_NS, lambda _: None)
    np.testing.assert_allclose(alone, [(20, 0, 0, 9, 0, 0)], atol=1e-5)


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (("x", "y", "z", "intensity"), None),
        (("x", "y", "z", "i"), (FLOAT64, FLOAT64, FLOAT64, UINT8)),
        (("x", "y", "z", "reflectivity"), (FLOAT32, FLOAT32, FLOAT32, UINT8)),
    ],
)
def test_any_layout_of_fields_is_read(transforms, names, kinds):
    lidar = LidarInput(transforms, "base_link", turns=1, max_age_ns=300 * MS)
    lidar.add(cloud(START_NS, [(4.0, 5, 6, 77), (np.nan, 0, 0, 0)], names, kinds))
    np.testing.assert_allclose(lidar.points_at(START_NS, moving), [(5, 5, 6, 77, 0, 0)])


def test_what_a_lidar_lacks_is_said(transforms):
    lidar = LidarInput(transforms, "base_link", turns=1, max_age_ns=300 * MS)
    assert lidar.points_at(START_NS, moving) is None and lidar.state()[1] == "no point cloud yet"
    lidar.add(cloud(START_NS, [(1.0, 2)], ("x", "y")))
    assert lidar.points_at(START_NS, moving) is None and "has no field z" in lidar.state()[1]
    lidar.add(cloud(START_NS + MS, [(1.0, 2, 3, 4)], frame="roof"))
    assert lidar.points_at(START_NS + MS, moving) is None and "from roof to base_link" in lidar.state()[1]
    transforms.add("base_link", "roof", 0, np.eye(4), is_static=True)
    assert lidar.points_at(START_NS + MS, moving) is not None, "its mount came late"
    assert lidar.points_at(START_NS + 400 * MS, moving) is None
    assert "the newest is 399 ms older" in lidar.state()[1] and lidar.counts["late"] == 3
    damaged = cloud(START_NS + 500 * MS, [(1.0, 2, 3, 4)])
    damaged.width = 1000
    lidar.add(damaged)
    assert lidar.points_at(START_NS + 500 * MS, moving) is None and lidar.counts["rejected"] == 2


def test_a_cloud_that_is_refused_is_told_though_an_older_one_stands_in(transforms):
    lidar = LidarInput(transforms, "base_link", turns=2, max_age_ns=300 * MS)
    lidar.add(cloud(START_NS, [(4.0, 5, 6, 77)]))
    damaged = cloud(START_NS + 100 * MS, [(4.0, 5, 6, 77)])
    damaged.fields[0].offset = 2**31 - 4
    lidar.add(damaged)
    assert lidar.points_at(START_NS + 100 * MS, moving).shape == (1, 6)
    level, message, _ = lidar.state()
    assert level == b"\x01" and message.startswith("1 refused: point cloud not used: point cloud's x ends at byte")
    assert lidar.state()[:2] == (b"\x00", "active, 1 turns joined"), "none since the last report"


def vector_map(frame: str, *lines, class_id: int = MapPolyline.CLASS_DIVIDER) -> VectorMap:
    from mapkd_ros.map_messages import vector_map as message

    elements = tuple(MapElement("divider", np.array(line, float)) for line in lines)
    from mapkd.msg import InputStatus

    from mapkd_core.types import LocalMap

    made = message(LocalMap(BevGrid(), elements), header(START_NS, frame), InputStatus(), "prior")
    for polyline in made.polylines:
        polyline.class_id = class_id
    return made


@pytest.mark.parametrize("frame", ["odom", "base_link", "town"])
def test_a_prior_of_any_frame_lies_where_it_is_now(transforms, frame):
    """A line at x = 12 of the odometry; 500 ms after the start the vehicle is at x = 5: 7 m ahead."""
    if frame == "town":  # 100 m ahead of the odometry's origin
        transforms.add("town", "odom", 0, planar(-100, 0, 0), is_static=True)
        for at_ms in (0, 1000):
            transforms.add("odom", "base_link", START_NS + at_ms * MS, moving(START_NS + at_ms * MS))
    x = {"odom": 12.0, "base_link": 12.0, "town": -88.0}[frame]
    prior = PriorInput("sd", transforms, "base_link", OdometryTrack())
    assert prior.elements_at(START_NS, moving) is None and prior.state()[1] == "no map yet"
    prior.add(vector_map(frame, [(x, -5), (x, 5)], [(x + 900, 0), (x + 950, 0)]))
    found = prior.elements_at(START_NS + 500 * MS, moving)
    assert len(found) == 1 and found[0].class_name == "road"
    np.testing.assert_allclose(found[0].vertices_m, [(7, -5), (7, 5)], atol=1e-6)


def test_a_prior_is_taken_whole_while_the_executor_brings_the_next(transforms):
    """Maps of 3 and of 2000 elements in turns: each answer is of one of them, at its own place."""
    prior = PriorInput("hd", transforms, "base_link", OdometryTrack("map"))
    prior._odometry.tell(START_NS, np.eye(4), "/map")
    small, large = (vector_map("map", *[[(x, 0.0), (x, 1.0)]] * count) for x, count in ((10.0, 3), (20.0, 2000)))
    is_over = threading.Event()

    def bring():
        while not is_over.is_set():
            prior.add(small)
            prior.add(large)

    with ThreadPoolExecutor(1) as executor:
        executor.submit(bring)
        try:
            answers = [prior.elements_at(START_NS, lambda _: np.eye(4)) for _ in range(30)]
        finally:
            is_over.set()
    found = {(len(a), float(e.vertices_m[0, 0])) for a in answers if a for e in a}
    assert found and found <= {(3, 10.0), (2000, 20.0)}, found


def test_a_prior_that_nobody_can_place_is_said(transforms):
    prior = PriorInput("hd", transforms, "base_link", OdometryTrack())
    prior.add(vector_map("mars", [(0, 0), (1, 0)]))
    assert prior.elements_at(START_NS, moving) is None
    assert "from mars to base_link" in prior.state()[1] and prior.counts["unplaced"] == 1


@pytest.fixture
def weights(tmp_path):
    """A tiny teacher of random weights."""
    torch.manual_seed(0)
    sizes = {"camera_width": 16, "detail_width": 8, "bev_width": 8, "query_width": 32, "query_layers": 2}
    sizes |= {"modalities": ("camera", "lidar", "sd", "hd"), "lidar_width": 8, "prior_width": 16}
    config = ModelConfig(
        64, 96, grid=BevGrid(-6.0, 6.0, -3.0, 3.0, 0.15), queries=8, points=10, query_groups=2, embedding=4, **sizes
    )
    path = tmp_path / "teacher.safetensors"
    save_weights(path, build(config).state_dict(), config, {})
    return path


def test_a_teacher_gets_all_and_goes_on_without(bench, start, weights):
    quick = ("-p", "diagnostics.period_s:=0.1", "-p", "sync.wait_s:=1.0", "-p", "model.warm_up:=false")
    process = start("-m", "mapkd_ros.map_node", "--ros-args", *quick, "-p", f"model.weights:={weights}")
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    # The maps are there before the node; who comes late gets them all the same.
    bench.send(VectorMap, "prior/sd_map", vector_map("odom", [(-5, 0), (5, 0)]), qos.LATCHED)
    bench.offer(PointCloud2, "lidar_top")
    # PyTorch takes long to load on a busy machine.
    assert bench.until(lambda: bench.count_subscribers("lidar_top"), 180), process.output
    bench.offer(Odometry, "odom")
    bench.connect()
    mount = replace_child(camera_transform("CAM_FRONT"), "lidar_top")
    bench.send(TFMessage, "/tf_static", TFMessage(transforms=[mount]), qos.STATIC_TRANSFORMS)
    bench.spin(0.3)
    points = np.random.default_rng(0).uniform(-3, 3, (500, 4))
    for step in range(2):
        at_ns = START_NS + step * 100 * MS
        pose = Odometry(header=header(at_ns, "odom"), child_frame_id="base_link")
        pose.pose.pose.orientation.w = 1.0
        bench.send(Odometry, "odom", pose)
        bench.send(PointCloud2, "lidar_top", cloud(at_ns, points))
        bench.spin(0.3)
        bench.capture(at_ns)
        assert bench.until(lambda step=step: len(vectors) > step), process.output
    assert bench.until(lambda: newest(diagnostics, "lidar")[0] == "active, 2 turns joined"), newest(
        diagnostics, "lidar"
    )
    assert newest(diagnostics, "sd prior")[0] == "active, 1 elements"
    assert newest(diagnostics, "hd prior")[:2] == ("no map yet", b"\x01")
    bench.capture(START_NS + 900 * MS)
    assert bench.until(lambda: len(vectors) == 3), "the LiDAR is late, and the map comes all the same"
    assert stamp_ns(vectors[2].header.stamp) == START_NS + 900 * MS
    assert bench.until(lambda: "the newest is 800 ms older" in newest(diagnostics, "lidar")[0])
    hostile = cloud(START_NS + 1000 * MS, points)
    hostile.fields[2].offset = 2**31 - 4  # within what numpy's own check lets pass
    bench.send(PointCloud2, "lidar_top", hostile)
    bench.spin(0.3)
    bench.capture(START_NS + 1000 * MS)
    assert bench.until(lambda: len(vectors) == 4), process.output
    assert bench.until(lambda: "z ends at byte 2147483648" in newest(diagnostics, "lidar")[0])
    assert newest(diagnostics, "lidar")[1] == b"\x01" and newest(diagnostics, "lidar")[2]["rejected"] == "1"
    assert process.interrupt()[0] == 0 and "Traceback" not in process.output, process.output


def replace_child(transform, child: str):
    transform.child_frame_id = child
    return transform


def test_a_student_listens_to_none_of_it(bench, map_node):
    map_node("--ros-args")
    bench.connect()
    assert not any(bench.count_subscribers(topic) for topic in ("lidar_top", "prior/sd_map", "prior/hd_map"))
