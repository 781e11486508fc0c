# SPDX-License-Identifier: Apache-2.0
"""Faults of a drive across real processes: nodes that are killed and come back, a camera that changes its size."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import BevLayerInfo, InputStatus, VectorMap
from nav_msgs.msg import Odometry
from rig import CAMERAS, camera_info, compressed_image, image_topic, newest
from sensor_msgs.msg import CameraInfo, CompressedImage
from visualization_msgs.msg import MarkerArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import LocalMap, MapElement
from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.map_messages import elements, header, vector_map

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 83_333_333
FAST = ("--ros-args", "-p", "diagnostics.period_s:=0.2", "-p", "sync.wait_s:=1.0")


def test_a_map_node_that_is_killed_and_started_again_goes_on(bench, map_node):
    """Nobody else is started anew: publishers, mounts (latched) and subscribers stay."""
    first = map_node(*FAST)
    vectors, legend = (
        bench.listen(VectorMap, "map/vector_map"),
        bench.listen(BevLayerInfo, "map/layer_info", qos.LATCHED),
    )
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: vectors and legend), first.output
    first.stop()
    second = map_node(*FAST)
    assert bench.until(lambda: len(legend) == 2), second.output
    count = iter(range(1, 1000))

    def answered() -> bool:
        """Best effort: until it is connected again, it hears nothing."""
        bench.capture(START_NS + next(count) * PERIOD_NS)
        bench.spin(0.3)
        return len(vectors) > 1

    assert bench.until(answered), second.output
    assert elements(vectors[-1])[0].vertices_m[0, 1] == 6, "all six cameras with their mounts"
    assert second.interrupt()[0] == 0


def test_a_marker_node_that_is_killed_and_started_again_goes_on(bench, start):
    markers = bench.listen(MarkerArray, "map/markers")
    element = MapElement("divider", np.array([[0.0, 1.0], [5.0, 1.0]]))
    message = vector_map(LocalMap(BevGrid(), (element,)), header(START_NS, "base_link"), InputStatus(), "m@1")

    def drawn(count: int) -> bool:
        bench.send(VectorMap, "map/vector_map", message)
        bench.spin(0.2)
        return len(markers) > count

    for _ in range(2):
        process, before = start("-m", "mapkd_ros.marker_node"), len(markers)
        assert bench.until(lambda before=before: drawn(before)), process.output
        process.stop()


def test_a_replay_that_is_killed_and_started_again_is_a_drive_anew(bench, start, map_node, bag):
    """Less than sync.jump_back_s counts as out of order, so it is set below the second that is played."""
    node = map_node(*FAST, "-p", "sync.jump_back_s:=0.2")
    vectors, stamps = bench.listen(VectorMap, "map/vector_map"), []
    for _ in range(2):
        before = len(vectors)
        replay = start("-m", "mapkd_ros.replay_node", "--ros-args", "-p", f"bag:={bag}")
        assert bench.until(lambda before=before: len(vectors) > before + 3), replay.output + node.output
        replay.stop()
        bench.spin(0.5)
        stamps.append([stamp_ns(m.header.stamp) for m in vectors[before:]])
    assert min(stamps[1]) < max(stamps[0]), "it began again"
    assert any(m.input.temporal_reset for m in vectors[len(stamps[0]) :])
    assert node.process.poll() is None and "Traceback" not in node.output


def test_a_camera_that_changes_its_size_is_used_with_its_new_calibration(bench, map_node):
    process, vectors = map_node(*FAST), bench.listen(VectorMap, "map/vector_map")
    inputs = bench.listen(InputStatus, "map/input_status")
    bench.connect()
    for step, (width, height) in enumerate([(64, 36), (32, 18), (128, 72)]):
        at_ns = START_NS + step * PERIOD_NS
        for name in CAMERAS:
            image, info = compressed_image(name, at_ns, 100), camera_info(name, at_ns)
            if name == "CAM_BACK":
                bgr = np.full((height, width, 3), 90, np.uint8)
                image.data = array("B", cv2.imencode(".jpg", bgr)[1].tobytes())
                scale = width / info.width
                info.k = [v * scale if i in (0, 2, 4, 5) else v for i, v in enumerate(info.k)]
                info.width, info.height = width, height
            bench.send(CameraInfo, f"{name.lower()}/camera_info", info)
            bench.send(CompressedImage, image_topic(name, "compressed"), image)
        assert bench.until(lambda step=step: len(vectors) > step), process.output
    assert all(list(m.camera_states) == [InputStatus.CAMERA_OK] * 6 for m in inputs), process.output


def test_odometry_of_no_number_is_refused_and_the_maps_go_on(bench, map_node):
    process, vectors = map_node(*FAST), bench.listen(VectorMap, "map/vector_map")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Odometry, "odom")
    bench.connect()
    for step, broken in enumerate((float("nan"), float("inf"), 0.0)):
        at_ns = START_NS + step * PERIOD_NS
        pose = Odometry(header=header(at_ns, "odom"), child_frame_id="base_link")
        pose.pose.pose.position.x, pose.pose.pose.orientation.w = broken, 1.0 if broken else 0.0
        bench.send(Odometry, "odom", pose)
        bench.capture(at_ns)
        assert bench.until(lambda step=step: len(vectors) > step), process.output
    refused = lambda: newest(diagnostics, "output")[2].get("odometry_rejected")  # noqa: E731
    assert bench.until(lambda: refused() == "3"), (refused(), process.output)
    assert process.interrupt()[0] == 0
