# SPDX-License-Identifier: Apache-2.0
"""The demo, shortened: a drive through the real nodes over DDS leaves all that it promises and no process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="no ROS 2: run environment/setup.sh and source .ros/setup.bash")
import torch

from mapkd_core.bags.published import published_maps
from mapkd_core.config import ModelConfig
from mapkd_core.demo import nodes
from mapkd_core.demo.drive import DemoDrive, ensure
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights

SECONDS, RATE_HZ = 2.0, 4.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A student that was never trained."""
    torch.manual_seed(0)
    config = ModelConfig(bev_width=16)
    path = tmp_path_factory.mktemp("weights") / "student.safetensors"
    save_weights(path, build(config).state_dict(), config, {"classes": list(config.classes)})
    return path


@pytest.fixture(scope="module")
def command(weights):
    """`mapkd demo` of a slow and short drive."""
    size = ["--seconds", str(SECONDS), "--rate", str(RATE_HZ), "--size", "320x180"]
    return [sys.executable, "-m", "mapkd_core.cli", "demo", *size, "--weights", str(weights)]


def processes_with(mark: str) -> list[str]:
    """Command lines of all processes that inherited the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_the_demo_leaves_video_pictures_scores_and_bags(command, tmp_path):
    out = tmp_path / "demo"
    done = subprocess.run([*command, "--out", str(out), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("\n") == 1
    summary = json.loads(done.stdout)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["frames_in"] == SECONDS * RATE_HZ
    assert metrics["frames_out"] >= 1 and {"p50", "p95", "p99"} <= set(metrics["latency_ms"])
    assert set(metrics["iou"]) == {"divider", "ped_crossing", "boundary"} and "map" in metrics
    assert summary["frames_out"] == metrics["frames_out"] and summary["drive_rendered"]
    video = cv2.VideoCapture(summary["video"])
    assert video.read()[0], "the video plays"
    assert all(cv2.imread(path) is not None for path in summary["stills"]) and summary["stills"]
    maps = list(published_maps(out / "published"))
    assert len(maps) == metrics["frames_out"] and maps[0].probability.shape == (3, 200, 400)
    again = ensure(out / "drive.mcap", DemoDrive(seconds=SECONDS, rate_hz=RATE_HZ, width=320, height=180))
    assert not again, "the rendered drive is kept"


@pytest.mark.slow
def test_ctrl_c_ends_every_process(command, tmp_path):
    mark = uuid.uuid4().hex
    # As from a terminal: a script's background job, which CI may be, starts its children deaf to SIGINT.
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)],
        env=os.environ | {"MAPKD_TEST_MARK": mark},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log, end_s = tmp_path / "logs" / "map_node.log", time.monotonic() + 120
    while time.monotonic() < end_s and not (log.is_file() and log.stat().st_size):
        time.sleep(0.1)
        assert process.poll() is None, process.stderr.read()
    assert len(processes_with(mark)) > 3
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.decode().splitlines()[-1] == "mapkd: error: interrupted"
    assert processes_with(mark) == []


def test_a_node_that_fails_is_heard(weights, tmp_path):
    with pytest.raises(nodes.NodesFailedError, match=r"no bag at .*nothing\.mcap"):
        nodes.play(tmp_path / "nothing.mcap", 1.0, tmp_path, weights)


def test_a_seed_that_training_used_is_refused(tmp_path):
    with pytest.raises(ValueError, match="seed 5 belongs to training"):
        ensure(tmp_path / "drive.mcap", DemoDrive(seed=5))
