# SPDX-License-Identifier: Apache-2.0
"""A tiny bag through replay -> map -> evaluation and recording, as separate processes over DDS."""

from __future__ import annotations

import json

import pytest
from drive_bag import PERIOD_NS, START_NS, replay_arguments
from mapkd.msg import VectorMap
from rig import CAMERAS
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage

from mapkd_core.bags.storage import BagReader
from mapkd_core.config import ModelConfig
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_ros import qos


def test_replay_to_map_to_evaluation_end_to_end(bench, start, map_node, bag, tmp_path):
    report, recorded = tmp_path / "metrics.json", tmp_path / "published"
    node = map_node("--ros-args", "-p", "use_sim_time:=true", "-p", "qos.image_reliability:=reliable")
    evaluation = start("-m", "mapkd_ros.evaluation_node", "--ros-args", "-p", f"report:={report}")
    record = start("-m", "mapkd_ros.record_node", "--ros-args", "-p", f"bag:={recorded}", "-p", "use_sim_time:=true")
    # Half the rate: no frame may be lost on a busy machine, either.
    nodes = ["map_node", "evaluation_node", "record_node"]
    replay = start(*replay_arguments(bag, wait_for=["truth/vector_map"], wait_for_nodes=nodes, wait_s=60.0, rate=0.5))
    assert bench.until(lambda: replay.process.poll() is not None, 120), replay.output
    assert replay.process.returncode == 0
    assert "/cam_front/image/compressed 24" in replay.output
    for process in (evaluation, record, node):
        assert process.interrupt()[0] == 0, process.output
    metrics = json.loads(report.read_text())
    assert (metrics["frames_in"], metrics["frames_out"], metrics["frames_scored"]) == (24, 24, 24), node.output
    assert metrics["class_ap"]["divider"] == pytest.approx(1.0)
    assert metrics["iou"]["divider"] < 0.1, "the stub paints its divider elsewhere"
    assert 0 < metrics["latency_ms"]["p50"] < 1000 and metrics["rate_hz"] == pytest.approx(6, rel=0.1)
    assert "inference" in metrics["stages_ms"]
    with BagReader(recorded) as reader:
        counts = {topic.name: topic.count for topic in reader.topics}
    assert counts["/map/vector_map"] == counts["/map/semantic_map"] == 24 and counts["/map/layer_info"] == 1


def test_a_replay_waits_until_the_evaluation_hears_the_map_node(bench, start, map_node, bag, tmp_path):
    for name in CAMERAS:
        bench.listen(CompressedImage, f"{name.lower()}/image/compressed")
        bench.listen(CameraInfo, f"{name.lower()}/camera_info")
    start("-m", "mapkd_ros.evaluation_node", "--ros-args", "-p", f"report:={tmp_path / 'metrics.json'}")
    replay = start(*replay_arguments(bag, wait_for_nodes=["evaluation_node"], wait_s=60.0, rate=10.0))
    assert bench.until(lambda: bench.count_subscribers("truth/vector_map") and bench.count_publishers("/tf_static"))
    bench.spin(1.0)
    assert "playing" not in replay.output, "all topics are heard, but there is no map to evaluate yet"
    map_node("--ros-args")
    assert bench.until(lambda: "playing" in replay.output), replay.output


def test_replay_paces_ticks_and_skips_to_an_offset(bench, start, bag):
    images, clocks = bench.listen(CompressedImage, "cam_front/image/compressed"), bench.listen(Clock, "/clock")
    truths = bench.listen(VectorMap, "truth/vector_map", qos.STATIC_TRANSFORMS)
    replay = start(*replay_arguments(bag, start_offset_s=1.0, rate=2.0, wait_s=6.0))
    assert bench.until(lambda: replay.process.poll() is not None, 60), replay.output
    assert 10 <= len(images) <= 12 and len(truths) >= len(images)
    ticks = [c.clock.sec * 10**9 + c.clock.nanosec for c in clocks]
    assert ticks == sorted(ticks) and ticks[-1] >= START_NS + 23 * PERIOD_NS
    assert "waited in vain for /cam_back/camera_info" in replay.output and replay.process.returncode == 0


def test_a_replayed_loop_goes_back_in_time_and_ends_on_sigint(bench, start, bag):
    images = bench.listen(CompressedImage, "cam_front/image/compressed")
    replay = start(*replay_arguments(bag, loop=True, rate=10.0, wait_s=0.0))
    assert bench.until(lambda: len(images) > 40, 60), replay.output
    code, seconds = replay.interrupt()
    assert code == 0 and seconds < 4 and "Traceback" not in replay.output


@pytest.mark.parametrize(("text", "message"), [(None, "no bag at"), (b"rubbish" * 9, "rubbish.mcap")])
def test_a_bag_that_cannot_be_read_is_named_and_ends_the_node(start, tmp_path, text, message):
    path = tmp_path / "rubbish.mcap"
    if text is not None:
        path.write_bytes(text)
    replay = start(*replay_arguments(path))
    assert replay.process.wait(60) == 1
    assert message in replay.output and "Traceback" not in replay.output


def test_the_console_command_runs_the_same_nodes_with_the_real_mapper(bench, start, bag, tmp_path, monkeypatch):
    """Untrained weights: what counts is that every frame comes through the product's own network, in ONNX Runtime."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights = tmp_path / "untrained.safetensors"
    config = ModelConfig()
    save_weights(weights, build(config).state_dict(), config, {"classes": list(config.classes)})
    files = ("--report", tmp_path / "metrics.json", "--record", tmp_path / "published", "--logs", tmp_path / "logs")
    weights_set = ("--set", f"map_node:model.weights={weights}", "--set", "map_node:model.backend=onnx")
    process = start("-m", "mapkd_ros.run", "replay", "--bag", bag, "--rate", "0.5", *files, *weights_set)
    ended = bench.until(lambda: process.process.poll() is not None, 120)  # the graph is exported first
    logs = "\n".join(path.read_text() for path in (tmp_path / "logs").glob("*.log"))
    assert ended and process.process.returncode == 0, process.output + logs
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["frames_in"] == 24 and 1 <= metrics["frames_out"] <= 24, logs
    assert {"queue", "decode", "assemble", "network", "publish"} <= set(metrics["stages_ms"])
    assert [path.suffix for path in (tmp_path / "cache" / "mapkd").iterdir()] == [".onnx"], "exported by the node"
    assert "unknown parameter" not in logs, "the shipped YAML names only declared parameters"
    assert (tmp_path / "published" / "metadata.yaml").is_file()


def test_the_console_command_refuses_what_is_not_there(start, tmp_path):
    for arguments, message in (
        (("replay", "--bag", tmp_path / "none.mcap"), "no bag at"),
        (("map", "--set", "nonsense"), "NODE:NAME=VALUE"),
        (("map", "--dds-profile", tmp_path / "none.xml"), "no DDS profile"),
    ):
        process = start("-m", "mapkd_ros.run", *arguments)
        assert process.process.wait(60) == 2
        assert message in process.output and "Traceback" not in process.output
