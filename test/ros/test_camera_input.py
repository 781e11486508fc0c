# SPDX-License-Identifier: Apache-2.0
"""What a map node does with publishers that do not fit, and with encodings that few cameras send."""

from __future__ import annotations

from array import array
from concurrent.futures import Future

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import VectorMap
from rig import CAMERAS, HEIGHT, WIDTH, camera_info, image_topic, newest, raw_image
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from mapkd_ros import qos
from mapkd_ros.camera_input import CameraImage
from mapkd_ros.map_messages import elements

START_NS = 1_700_000_000_000_000_000
FAST = ("--ros-args", "-p", "diagnostics.period_s:=0.2", "-p", "sync.wait_s:=1.0", "-p", "cameras.transports:=[raw]")


def test_a_best_effort_publisher_to_a_reliable_node_is_named_and_counted(bench, map_node):
    """The middleware delivers nothing then; without a word one would look for the fault everywhere else."""
    process = map_node(*FAST, "-p", "qos.image_reliability:=reliable", "-p", "cameras.names:=[CAM_FRONT]")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    topic = image_topic("CAM_FRONT", "raw")
    bench.offer(Image, topic, qos.images("best_effort", 5))
    assert bench.until(lambda: "offers incompatible QoS" in process.output), process.output
    assert topic in process.output and "qos.image_reliability: best_effort" in process.output
    bench.send(Image, topic, raw_image("CAM_FRONT", START_NS, 100))
    assert bench.until(lambda: int(newest(diagnostics, "CAM_FRONT")[2].get("qos_incompatible", 0)) >= 1), process.output
    message, level, values = newest(diagnostics, "CAM_FRONT")
    assert "incompatible QoS" in message and level == b"\x01" and values["received"] == "0"


def test_static_transforms_that_are_not_latched_are_named(bench, map_node):
    """As of a bag played without overrides: without a word every camera would just lack its transform."""
    process = map_node(*FAST, "-p", "cameras.names:=[CAM_FRONT]")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(TFMessage, "/tf_static", qos.TRANSFORMS)
    bench.offer(CameraInfo, "cam_front/camera_info", qos.images("best_effort", 5))
    assert bench.until(lambda: "/tf_static: a publisher offers incompatible QoS (durability)" in process.output)
    assert "transient local" in process.output and "camera_info: a publisher" not in process.output
    assert bench.until(lambda: newest(diagnostics, "output")[2].get("qos_incompatible") == "1"), process.output


def test_an_error_of_a_decoder_costs_its_camera_alone():
    broken: Future = Future()
    broken.set_exception(MemoryError("no room"))
    with pytest.raises(ValueError, match="decoding failed: MemoryError: no room"):
        CameraImage(Header(), broken).picture()


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "yuv422_yuy2", "mono16"])
def test_encodings_beyond_the_common_reach_the_network_as_rgb(bench, map_node, encoding):
    """Grey 150 in each of them: the stub puts a boundary at a tenth of the mean red of the first image."""
    process = map_node(*FAST, "-p", "cameras.names:=[CAM_FRONT]")
    vectors = bench.listen(VectorMap, "map/vector_map")
    bench.connect("raw", CAMERAS[:1])
    bench.send(CameraInfo, "cam_front/camera_info", camera_info("CAM_FRONT", START_NS))
    bench.send(Image, image_topic("CAM_FRONT", "raw"), grey_image(encoding, 150))
    assert bench.until(lambda: vectors), process.output
    assert elements(vectors[0])[1].vertices_m[0, 0] == pytest.approx(15, abs=0.1)


def grey_image(encoding: str, level: int) -> Image:
    # In Y'CbCr of video range black is 16 and white 235; 128 is no colour.
    luma = round(16 + level * 219 / 255)
    pixels = {
        "bayer_rggb8": np.full((HEIGHT, WIDTH), level, np.uint8),
        "yuv422_yuy2": np.full((HEIGHT, WIDTH, 2), (luma, 128), np.uint8),
        "mono16": np.full((HEIGHT, WIDTH), level * 257, "<u2"),
    }[encoding]
    message = raw_image("CAM_FRONT", START_NS, level)
    message.encoding, message.step, message.data = encoding, pixels.strides[0], array("B", pixels.tobytes())
    return message


def test_a_driver_that_comes_back_with_another_transport_is_heard(bench, map_node):
    process = map_node("--ros-args", "-p", "sync.wait_s:=1.0", "-p", "diagnostics.period_s:=0.2")
    vectors = bench.listen(VectorMap, "map/vector_map")
    for name in CAMERAS:
        bench.offer(Image, image_topic(name, "raw"))
    bench.connect("compressed")
    bench.capture(START_NS, "compressed")
    assert bench.until(lambda: vectors), process.output
    assert bench.until(lambda: not bench.count_subscribers(image_topic("CAM_FRONT", "raw")))
    assert bench.until(lambda: bench.count_subscribers(image_topic("CAM_FRONT", "raw")), 10), "3 s of silence later"
    assert bench.until(lambda: "no image of CAM_FRONT for" in process.output, 10), process.output
    bench.meet()
    bench.capture(START_NS + 5 * 10**9, "raw")
    assert bench.until(lambda: len(vectors) == 2), process.output
    assert bench.until(lambda: not bench.count_subscribers(image_topic("CAM_FRONT", "compressed")))


def test_a_remapped_camera_has_its_publisher(bench, map_node):
    """Under the name that the node was written with there is none."""
    remapped = ("-r", "cam_front/image:=rig/wide/image_raw", "-r", "cam_front/camera_info:=rig/wide/camera_info")
    process = map_node(*FAST, *remapped, "-p", "cameras.names:=[CAM_FRONT, CAM_BACK]")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Image, "rig/wide/image_raw")
    assert bench.until(lambda: newest(diagnostics, "CAM_FRONT")[0].startswith("no image on")), process.output
    assert newest(diagnostics, "CAM_BACK")[0].startswith("no publisher on")
