# SPDX-License-Identifier: Apache-2.0
"""Faults of perception nodes that others have met, across real processes: cameras that die, clocks, QoS, imports."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import VectorMap
from rig import CAMERAS, camera_info, compressed_image, image_topic, newest, raw_image
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 83_333_333
SECOND = 1_000_000_000
LEVELS = {"OK": b"\x00", "WARN": b"\x01", "ERROR": b"\x02"}
QUICK = ("--ros-args", "-p", "diagnostics.period_s:=0.1")
LIMITS = ("-p", "diagnostics.warn_output_age_s:=0.3", "-p", "diagnostics.error_output_age_s:=1.0")
# The optional packages, and a finder that refuses them.
BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "cv_bridge", "onnxruntime", "onnx", "sensor_msgs_py", "vision_msgs"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Refuse())
import mapkd_ros.map_node, mapkd_ros.marker_node, mapkd_ros.evaluation_node, mapkd_ros.record_node
"""


def test_when_the_cameras_stop_so_do_the_maps_and_the_diagnostics_say_so(bench, map_node):
    limits = ("-p", "diagnostics.max_image_age_s:=0.5", "-p", "diagnostics.warn_latency_ms:=1000000.0")
    process, start_ns = map_node(*QUICK, *LIMITS, *limits, "-p", "sync.wait_s:=1.0"), time.time_ns()
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    bench.capture(start_ns)
    assert bench.until(lambda: vectors), process.output
    states = lambda: {newest(diagnostics, name)[2]["state"] for name in CAMERAS}  # noqa: E731
    assert bench.until(lambda: newest(diagnostics, "output")[1] == LEVELS["ERROR"] and states() == {"stale"})
    told = len(diagnostics)
    assert bench.until(lambda: len(diagnostics) >= told + 5), "they outlive what they tell of"
    assert [stamp_ns(m.header.stamp) for m in vectors] == [start_ns], "no stale map, none of another time"
    begin_s = time.monotonic()
    for _ in range(100):
        bench.capture(time.time_ns())
        bench.spin(0.1)
        bench.recoveries_s[:] = [time.monotonic() - begin_s]
        if len(vectors) > 1 and "stale" not in states() and newest(diagnostics, "output")[1] != LEVELS["ERROR"]:
            return
    raise AssertionError(f"they do not recover: {states()}, {newest(diagnostics, 'output')}; {process.output}")


def test_a_camera_that_dies_is_masked_and_comes_back(bench, map_node):
    process = map_node(*QUICK, "-p", "sync.wait_s:=0.2", "-p", "diagnostics.max_image_age_s:=0.5")
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    alive = [name for name in CAMERAS if name != "CAM_BACK"]
    for step, cameras in enumerate([CAMERAS, alive, alive, alive, alive, CAMERAS]):
        bench.capture(START_NS + step * PERIOD_NS, cameras=cameras)
        with bench.recovery():
            assert bench.until(lambda step=step: len(vectors) == step + 1), process.output
        if step == 4:
            assert bench.until(lambda: newest(diagnostics, "CAM_BACK")[2].get("state") == "stale"), process.output
    count = [sum(state == 0 for state in m.input.camera_states) for m in vectors]
    assert count == [6, 5, 5, 5, 5, 6]


def test_simulated_time_that_stops_jumps_back_and_races(bench, map_node):
    process = map_node(*QUICK, "-p", "use_sim_time:=true", "-p", "sync.wait_s:=0.2")
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Clock, "/clock", qos.OUTPUT)
    bench.connect()

    def tick(now_ns: int) -> None:
        bench.send(Clock, "/clock", Clock(clock=Time(sec=now_ns // SECOND, nanosec=now_ns % SECOND)), qos.OUTPUT)

    tick(START_NS)
    bench.capture(START_NS)
    assert bench.until(lambda: vectors), process.output
    assert bench.until(lambda: "/clock stands still" in newest(diagnostics, "output")[0]), process.output
    # With the clock at a stand a set that is complete still leaves, and one that lacks a camera waits.
    bench.capture(START_NS + PERIOD_NS)
    assert bench.until(lambda: len(vectors) == 2), process.output
    # Ten times the speed: each tick is longer than the wait.
    for step in range(2, 6):
        tick(START_NS + step * 10 * PERIOD_NS)
        bench.capture(START_NS + step * 10 * PERIOD_NS, cameras=CAMERAS[:5])
        for part in range(1, 8):
            tick(START_NS + (10 * step + part) * PERIOD_NS)
            bench.spin(0.05)
        assert bench.until(lambda step=step: len(vectors) == step + 1), process.output
    tick(START_NS - 100 * SECOND)
    bench.capture(START_NS - 100 * SECOND)
    with bench.recovery():
        assert bench.until(lambda: len(vectors) == 7), process.output
    assert [len(m.input.camera_names) - sum(s != 0 for s in m.input.camera_states) for m in vectors[2:6]] == [5] * 4
    assert vectors[6].input.temporal_reset and stamp_ns(vectors[6].header.stamp) == START_NS - 100 * SECOND
    assert all(float(newest([d], "output")[2]["latency_ms"]) >= 0 for d in diagnostics)


@pytest.mark.parametrize("offered", ["reliable", "best_effort"])
@pytest.mark.parametrize("asked", ["reliable", "best_effort"])
def test_every_pair_of_reliabilities_is_heard_or_named(bench, map_node, offered, asked):
    process = map_node(*QUICK, "-p", "cameras.names:=[CAM_FRONT]", "-p", f"qos.image_reliability:={asked}")
    vectors = bench.listen(VectorMap, "map/vector_map")
    bench.offer(Image, image_topic("CAM_FRONT", "raw"), qos.images(offered, 5))
    bench.offer(CameraInfo, "cam_front/camera_info", qos.images(offered, 5))
    if (offered, asked) == ("best_effort", "reliable"):
        assert bench.until(lambda: process.output.count("offers incompatible QoS") == 2), process.output
        return
    bench.connect("raw", CAMERAS[:1])
    bench.send(CameraInfo, "cam_front/camera_info", camera_info("CAM_FRONT", START_NS))
    bench.send(Image, image_topic("CAM_FRONT", "raw"), raw_image("CAM_FRONT", START_NS, 100))
    assert bench.until(lambda: vectors), process.output
    assert "incompatible" not in process.output


def test_an_inference_of_60_ms_starves_no_camera(bench, map_node):
    """In a callback it would: 12 Hz of six cameras are 72 messages a second."""
    process = map_node("--delay", "0.06", *QUICK, "-p", "qos.image_depth:=10")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    for step in range(24):
        bench.capture(START_NS + step * PERIOD_NS)
        bench.spin(0.083)
    received = lambda: [int(newest(diagnostics, name)[2].get("received", 0)) for name in CAMERAS]  # noqa: E731
    assert bench.until(lambda: min(received()) >= 23), (received(), process.output)
    values = newest(diagnostics, "output")[2]
    assert int(values["published"]) + int(values["dropped_busy"]) >= 22, values


def test_no_optional_package_is_needed_to_load_the_nodes():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_empty_list_of_cameras_is_refused_in_words(map_node):
    process = map_node("--ros-args", "-p", "cameras.names:=[]")
    assert process.process.wait(60) == 1
    assert "a parameter is an empty list, []" in process.output and "Traceback" not in process.output, process.output


def test_a_camera_of_double_rate_costs_nothing(bench, map_node):
    process = map_node(*QUICK, "-p", "sync.wait_s:=1.0")
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    for step in range(6):
        now_ns = START_NS + step * PERIOD_NS
        bench.send(
            CompressedImage,
            image_topic("CAM_BACK", "compressed"),
            compressed_image("CAM_BACK", now_ns - PERIOD_NS // 2, 50),
        )
        bench.capture(now_ns)
        assert bench.until(lambda step=step: len(vectors) == step + 1), process.output
    assert all(list(m.input.camera_states) == [0] * 6 for m in vectors)
    assert bench.until(lambda: int(newest(diagnostics, "CAM_BACK")[2].get("received", 0)) == 12), process.output
