# SPDX-License-Identifier: Apache-2.0
"""Faults of a drive across real processes: nodes that are killed and come back, a camera that changes its size."""

from __future__ import annotations

import json
import time
from array import array

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import BevLayerInfo, InputStatus, VectorMap
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message
from rig import CAMERAS, camera_info, compressed_image, image_topic, newest
from sensor_msgs.msg import CameraInfo, CompressedImage
from visualization_msgs.msg import MarkerArray

from mapkd_core.bags.storage import BagReader
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
    begin_s = time.monotonic()
    assert bench.until(lambda: len(legend) == 2), second.output
    count = iter(range(1, 1000))

    def answered() -> bool:
        """Best effort: until it is connected again, it hears nothing."""
        bench.capture(START_NS + next(count) * PERIOD_NS)
        bench.spin(0.3)
        return len(vectors) > 1

    assert bench.until(answered), second.output
    bench.recoveries_s.append(time.monotonic() - begin_s)
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
        with bench.recovery():
            assert bench.until(lambda before=before: drawn(before)), process.output
        process.stop()


def test_a_replay_that_is_killed_and_started_again_is_a_drive_anew(bench, start, map_node, bag):
    """It goes back by less than sync.jump_back_s, as a loop of half a second would."""
    node = map_node(*FAST)
    vectors, stamps = bench.listen(VectorMap, "map/vector_map"), []

    def play(before: int) -> bool:
        """Killed when maps came of it. It lasts a second: where DDS takes longer, nobody hears it; then once more."""
        replay = start("-m", "mapkd_ros.replay_node", "--ros-args", "-p", f"bag:={bag}", "-p", "duration_s:=0.9")
        bench.until(lambda: len(vectors) > before + 3 or replay.process.poll() is not None)
        bench.until(lambda: len(vectors) > before + 3, 2.0)
        replay.stop()
        return len(vectors) > before + 3

    for _ in range(2):
        before = len(vectors)
        with bench.recovery():
            assert any(play(before) for _ in range(5)), node.output
        bench.spin(0.5)
        stamps.append([stamp_ns(m.header.stamp) for m in vectors[before:]])
    assert min(stamps[1]) < max(stamps[0]) < min(stamps[1]) + 1e9, "it began again"
    assert any(m.input.temporal_reset for m in vectors[len(stamps[0]) :])
    assert node.process.poll() is None and "Traceback" not in node.output


def test_an_evaluation_that_is_killed_leaves_no_report_and_the_next_one_a_whole_one(bench, start, tmp_path):
    report = tmp_path / "metrics.json"
    bench.offer(VectorMap, "map/vector_map", qos.OUTPUT)
    bench.offer(VectorMap, "truth/vector_map")
    bench.offer(CameraInfo, "cam_front/camera_info")
    bench.send(BevLayerInfo, "map/layer_info", BevLayerInfo(), qos.LATCHED)
    element = MapElement("divider", np.array([[0.0, 1.0], [5.0, 1.0]]))

    def evaluate(number: int) -> None:
        at_ns = START_NS + number * PERIOD_NS
        message = vector_map(LocalMap(BevGrid(), (element,)), header(at_ns, "base_link"), InputStatus(), "m@1")
        bench.send(CameraInfo, "cam_front/camera_info", camera_info("CAM_FRONT", at_ns))
        bench.send(VectorMap, "truth/vector_map", message)
        bench.send(VectorMap, "map/vector_map", message)
        bench.spin(0.1)

    for is_killed in (True, False):
        # The sign of the dead one stays until its lease ends.
        dead = bench.signs("evaluation_node")
        process = start("-m", "mapkd_ros.evaluation_node", "--ros-args", "-p", f"report:={report}")
        assert bench.until(lambda dead=dead: bench.signs("evaluation_node") - dead, 180), process.output
        for number in range(3):
            evaluate(number)
        if is_killed:
            process.stop()
            assert list(tmp_path.glob("metrics*")) == [], "written at the end, or not at all"
    assert bench.until(lambda: process.process.poll() is not None, 120), process.output
    assert process.process.returncode == 0, process.output
    assert json.loads(report.read_text())["frames_out"] == 3


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_recording_that_is_killed_is_known_as_unfinished_and_never_written_over(bench, start, tmp_path, is_killed):
    path, rng = tmp_path / "maps", np.random.default_rng(0)
    process = start("-m", "mapkd_ros.record_node", "--ros-args", "-p", f"bag:={path}")
    bench.offer(VectorMap, "map/vector_map")
    bench.send(BevLayerInfo, "map/layer_info", BevLayerInfo(), qos.LATCHED)
    # That its subscription is seen here says nothing of what it sees: DDS repeats a lost discovery after seconds.
    assert bench.until(lambda: bench.signs("record_node"), 180), process.output
    sent = [VectorMap(header=header(START_NS + n, "base_link"), model_id=rng.bytes(50_000).hex()) for n in range(40)]
    for message in sent:
        bench.send(VectorMap, "map/vector_map", message)
        bench.spin(0.02)
    assert bench.outputs["map/vector_map"].wait_for_all_acked(Duration(seconds=60)), process.output
    bench.spin(1.0)
    if not is_killed:
        assert process.interrupt()[0] == 0, process.output
        assert bag_of(path) == (None, sent)
        return
    process.stop()
    assert not (path / "metadata.yaml").exists(), "the index comes last"
    damage, kept = bag_of(path)
    assert damage, "that its end is missing is said"
    assert 0 < len(kept) <= 40 and kept == sent[: len(kept)], "what can be salvaged is whole"
    again = start("-m", "mapkd_ros.record_node", "--ros-args", "-p", f"bag:={path}")
    assert bench.until(lambda: again.process.poll() is not None, 120) and again.process.returncode == 1
    assert "exists already; remove it or choose another path" in again.output and "Traceback" not in again.output


def bag_of(path) -> tuple[str | None, list[VectorMap]]:
    """What is missing, and the maps."""
    with BagReader(path) as bag:
        messages = bag.messages(["/map/vector_map"])
        return bag.damage, [deserialize_message(bytes(message.data), VectorMap) for message in messages]


def test_memory_of_the_device_that_ran_out_costs_one_map_and_is_given_back(bench, map_node):
    process = map_node("--out-of-memory", "2", *FAST)
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: len(vectors) == 1), process.output
    bench.capture(START_NS + PERIOD_NS)
    told = lambda: newest(diagnostics, "output")[2].get("out_of_memory")  # noqa: E731
    assert bench.until(lambda: told() == "1", 180), process.output
    assert process.output.index("tensor freed") < process.output.index("cache emptied") < len(process.output)
    assert "CUDA out of memory" in process.output and "Traceback" not in process.output
    bench.capture(START_NS + 2 * PERIOD_NS)
    assert bench.until(lambda: len(vectors) == 2), "the frame after it has its map"
    assert stamp_ns(vectors[1].header.stamp) == START_NS + 2 * PERIOD_NS
    assert process.interrupt()[0] == 0


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
        with bench.recovery():
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
