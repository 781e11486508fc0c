# SPDX-License-Identifier: Apache-2.0
"""The map node in a process of its own, over real DDS, with a stub in place of the network."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import BevLayerInfo, BevSemanticMap, InputStatus, ProcessingTime, VectorMap
from rig import CAMERAS, camera_info, compressed_image, image_topic, newest, raw_image
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.executor import EVENTS, VARIABLE, WAIT_SET
from mapkd_ros.map_messages import elements

START_NS = 1_700_000_000_123_456_789
PERIOD_NS = 83_333_333
# An interrupted node ends within two seconds; a busy machine gets as much again.
END_S = 4.0
FAST = ("--ros-args", "-p", "diagnostics.period_s:=0.2", "-p", "sync.wait_s:=1.0")


@pytest.mark.parametrize("transport, executor", [("compressed", EVENTS), ("raw", EVENTS), ("compressed", WAIT_SET)])
def test_six_images_become_one_map_with_the_anchors_stamp(bench, map_node, monkeypatch, transport, executor):
    monkeypatch.setenv(VARIABLE, executor)
    process = map_node(*FAST, "-p", f"cameras.transports:=[{transport}]")
    vectors, semantics = bench.listen(VectorMap, "map/vector_map"), bench.listen(BevSemanticMap, "map/semantic_map")
    times, inputs = bench.listen(ProcessingTime, "map/processing_time"), bench.listen(InputStatus, "map/input_status")
    bench.connect(transport)
    bench.capture(START_NS, transport, red=100)
    assert bench.until(lambda: vectors and semantics and times and inputs), process.output
    assert stamp_ns(vectors[0].header.stamp) == stamp_ns(semantics[0].header.stamp) == START_NS
    assert vectors[0].header.frame_id == "base_link" and vectors[0].model_id == "stub@1"
    divider, boundary = elements(vectors[0])
    assert divider.vertices_m[0, 1] == 6
    assert boundary.vertices_m[0, 0] == pytest.approx(10, abs=0.3)
    assert np.frombuffer(semantics[0].data, np.uint8).reshape(3, 200, 400)[0, 110].min() == 255
    assert list(inputs[0].camera_states) == [InputStatus.CAMERA_OK] * 6
    assert "inference" in times[0].stages
    legend = bench.listen(BevLayerInfo, "map/layer_info", qos.LATCHED)
    assert bench.until(lambda: legend), "the legend must reach those who come late"
    assert list(legend[0].names) == ["divider", "ped_crossing", "boundary"]
    code, seconds = process.interrupt()
    assert code == 0 and seconds < END_S and "Traceback" not in process.output


def test_pictures_are_seen_ahead_but_while_a_frame_is_predicted(bench, map_node):
    """Then they would take the cores from it, for what may never become a map."""
    process = map_node("--ahead", "sees", "--delay", "1.0", *FAST)
    times = bench.listen(ProcessingTime, "map/processing_time")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: "frame 1: 6 seen ahead" in process.output), process.output
    bench.capture(START_NS + PERIOD_NS)  # the first one takes a second
    assert bench.until(lambda: len(times) == 2), process.output
    assert "frame 2: 0 seen ahead" in process.output
    assert all({"decode", "encode"} <= set(t.stages) for t in times)
    bench.capture(START_NS + 2 * PERIOD_NS)
    assert bench.until(lambda: "frame 3: 6 seen ahead" in process.output), process.output


def test_a_picture_that_cannot_be_seen_ahead_is_counted_and_used(bench, map_node):
    process = map_node("--ahead", "fails", *FAST)
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    bench.capture(START_NS, red=100)
    assert bench.until(lambda: vectors), process.output
    assert elements(vectors[0])[0].vertices_m[0, 1] == 6 and "frame 1: 0 seen ahead" in process.output
    assert "a picture not seen ahead: RuntimeError: stub does not look at" in process.output
    assert bench.until(lambda: newest(diagnostics, "output")[2].get("ahead_failed") == "6"), process.output


def test_a_best_effort_publisher_is_heard_and_bgr_is_rgb(bench, map_node):
    process = map_node(*FAST, "-p", "cameras.transports:=[raw]")
    vectors = bench.listen(VectorMap, "map/vector_map")
    sensor = qos.images("best_effort", 5)
    for name in CAMERAS:
        bench.offer(Image, image_topic(name, "raw"), sensor)
    bench.connect("raw")
    for name in CAMERAS:
        bench.send(CameraInfo, f"{name.lower()}/camera_info", camera_info(name, START_NS))
    bench.spin(0.2)
    for name in CAMERAS:
        bench.send(Image, image_topic(name, "raw"), raw_image(name, START_NS, 150, "bgr8"))
    assert bench.until(lambda: vectors), process.output
    assert elements(vectors[0])[1].vertices_m[0, 0] == pytest.approx(15, abs=0.1)


def test_bad_input_is_named_counted_and_survived(bench, map_node):
    """One camera each: truncated JPEG, wrong CameraInfo size, K of zeros, unknown codec; one topic never comes."""
    process = map_node(*FAST)
    vectors, inputs = bench.listen(VectorMap, "map/vector_map"), bench.listen(InputStatus, "map/input_status")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect(cameras=CAMERAS[:5])
    for step in range(6):
        now_ns = START_NS + step * PERIOD_NS
        for name in CAMERAS[:5]:
            image, info = compressed_image(name, now_ns, 100), camera_info(name, now_ns)
            if name == "CAM_FRONT_RIGHT":
                image.data = image.data[: len(image.data) // 2]
            elif name == "CAM_BACK_RIGHT":
                info.width = 100
            elif name == "CAM_BACK":
                info.k = np.zeros(9)
            elif name == "CAM_BACK_LEFT":
                image.format, image.data = "tiff", array("B", b"II*\0")
            bench.send(CameraInfo, f"{name.lower()}/camera_info", info)
            bench.send(CompressedImage, image_topic(name, "compressed"), image)
        assert bench.until(lambda step=step: len(vectors) > step), process.output
    assert elements(vectors[-1])[0].vertices_m[0, 1] == 1, "only the front camera is usable"
    ok, missing, rejected = InputStatus.CAMERA_OK, InputStatus.CAMERA_MISSING, InputStatus.CAMERA_REJECTED
    assert list(inputs[-1].camera_states) == [ok, rejected, rejected, rejected, rejected, missing]
    wanted = {"CAM_FRONT_RIGHT": "cut off", "CAM_BACK_RIGHT": "100 x 36", "CAM_BACK": "not calibrated"}
    wanted |= {
        "CAM_BACK_LEFT": "tiff",
        "CAM_FRONT_LEFT": "no publisher on cam_front_left/image/compressed or cam_front_left/image",
    }
    assert bench.until(lambda: all(text in newest(diagnostics, name)[0] for name, text in wanted.items()))
    assert bench.until(lambda: int(newest(diagnostics, "CAM_BACK")[2]["rejected"]) >= 6), process.output
    for text in list(wanted.values())[:4]:
        assert text in process.output
    assert process.interrupt()[0] == 0


def test_skip_makes_no_map_without_a_camera_that_came_but_cannot_be_used(bench, map_node):
    process = map_node(*FAST, "-p", "sync.missing:=skip")
    vectors, inputs = bench.listen(VectorMap, "map/vector_map"), bench.listen(InputStatus, "map/input_status")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    for step, is_cut in enumerate((False, True, True)):
        now_ns = START_NS + step * PERIOD_NS
        bench.capture(now_ns, cameras=CAMERAS[:5])
        image, info = compressed_image(CAMERAS[5], now_ns, 1), camera_info(CAMERAS[5], now_ns)
        image.data = image.data[: len(image.data) // 2] if is_cut else image.data
        bench.send(CameraInfo, f"{CAMERAS[5].lower()}/camera_info", info)
        bench.send(CompressedImage, image_topic(CAMERAS[5], "compressed"), image)
        assert bench.until(lambda step=step: len(inputs) > step), process.output
    assert bench.until(lambda: newest(diagnostics, "output")[2].get("camera_rejected") == "2"), process.output
    assert len(vectors) == 1 and "cut off" in process.output


def test_an_exception_in_predict_costs_one_frame_and_is_counted(bench, map_node):
    process = map_node("--fail-every", "2", *FAST)
    vectors, inputs = bench.listen(VectorMap, "map/vector_map"), bench.listen(InputStatus, "map/input_status")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    for step in range(6):
        bench.capture(START_NS + step * PERIOD_NS)
        assert bench.until(lambda step=step: len(inputs) > step), process.output
    assert bench.until(lambda: len(vectors) == 3), process.output
    assert bench.until(lambda: newest(diagnostics, "output")[2].get("failed") == "3")
    assert "stub fails on call 2" in process.output


def test_a_slow_predictor_drops_the_older_sets_and_says_so(bench, map_node):
    process = map_node("--delay", "0.3", *FAST)
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    for step in range(12):
        bench.capture(START_NS + step * PERIOD_NS)
        bench.spin(0.05)
    newest_ns = START_NS + 11 * PERIOD_NS
    assert bench.until(lambda: vectors and stamp_ns(vectors[-1].header.stamp) == newest_ns), "the newest set must win"
    dropped = str(12 - len(vectors))
    assert bench.until(lambda: newest(diagnostics, "output")[2].get("dropped_busy") == dropped), process.output
    assert process.interrupt()[1] < END_S


def test_diagnostics_outlive_a_hanging_inference_and_sigint_ends_it(bench, map_node):
    limits = ("-p", "diagnostics.error_output_age_s:=0.5", "-p", "diagnostics.warn_output_age_s:=0.3")
    process = map_node("--delay", "60", *FAST, *limits)
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: "inference busy" in newest(diagnostics, "output")[0]), process.output
    assert newest(diagnostics, "output")[1] == b"\x02"
    code, seconds = process.interrupt()
    bench.recoveries_s.append(seconds)
    assert code == 0 and seconds < END_S, process.output


def test_parameters_are_checked_and_typos_named(bench, map_node):
    refused = map_node("--ros-args", "-p", "sync.wait_s:=99.0")
    assert refused.process.wait(60) == 1
    assert "sync.wait_s: 99.0 is outside 0.0 .. 5.0" in refused.output and "Traceback" not in refused.output
    warned = map_node("--ros-args", "-p", "sync.wiat_s:=0.2", "-p", "sync.max_skew_s:=0")
    assert bench.until(lambda: "did you mean sync.wait_s?" in warned.output), warned.output
    assert bench.until(lambda: "waiting for" in warned.output), warned.output


def test_weights_that_are_not_there_or_of_another_schema_end_the_node_with_a_message(start, tmp_path):
    weights = tmp_path / "weights.safetensors"
    missing = start("-m", "mapkd_ros.map_node", "--ros-args", "-p", f"model.weights:={weights}")
    assert missing.process.wait(60) == 1
    assert str(weights) in missing.output and "Traceback" not in missing.output
    weights.write_bytes(b"")
    weights.with_suffix(".json").write_text('{"schema": 99}')
    foreign = start("-m", "mapkd_ros.map_node", "--ros-args", "-p", f"model.weights:={weights}")
    assert foreign.process.wait(60) == 1
    assert "schema 99" in foreign.output and "Traceback" not in foreign.output


def test_a_jump_back_in_time_starts_again(bench, map_node):
    """As a bag that loops: stamps go back, the map follows, and says that memory was dropped."""
    process = map_node(*FAST)
    vectors = bench.listen(VectorMap, "map/vector_map")
    bench.connect()
    stamps = [START_NS, START_NS + 20 * PERIOD_NS, START_NS, START_NS + PERIOD_NS]
    for count, at_ns in enumerate(stamps):
        bench.capture(at_ns)
        with bench.recovery():
            assert bench.until(lambda count=count: len(vectors) > count), process.output
    assert [stamp_ns(m.header.stamp) for m in vectors] == stamps
    assert [m.input.temporal_reset for m in vectors] == [True, False, True, False]


def test_a_reset_is_told_by_the_next_map_even_where_a_frame_fell_out(bench, map_node):
    process = map_node("--fail-every", "2", *FAST)
    vectors, inputs = bench.listen(VectorMap, "map/vector_map"), bench.listen(InputStatus, "map/input_status")
    bench.connect()
    for count, at_ns in enumerate([START_NS + 20 * PERIOD_NS, START_NS, START_NS + PERIOD_NS]):
        bench.capture(at_ns)
        assert bench.until(lambda count=count: len(inputs) > count), process.output
    assert bench.until(lambda: len(vectors) == 2), process.output
    assert [m.temporal_reset for m in inputs] == [True, True, True]
    assert vectors[1].input.temporal_reset
