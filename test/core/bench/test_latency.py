# SPDX-License-Identifier: Apache-2.0
"""A recorded frame driven on and on: its bytes as they were, at the cameras' rate, from a vehicle that moves."""

from __future__ import annotations

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core.bags.read import BagDrive
from mapkd_core.bench import executors, latency
from mapkd_core.bench.recorded import RATE_HZ, SPEED_M_S, jpegs, repeat
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.geometry import inverse, planar
from mapkd_core.types import Frame

START_NS = 1_700_000_000_000_000_000


@pytest.fixture
def recorded(rig, make_sample) -> FrameFolder:
    """Cameras that fire 8 ms apart, the first 40 ms before the frame, from a vehicle that looks to the north."""
    cameras, files = [], {}
    for turn, (camera, image) in enumerate(zip(rig, make_sample().prepared.images.transpose(0, 2, 3, 1))):
        stamp_ns = START_NS + (8 * turn - 40) * 1_000_000
        moved = planar(3 * 1e-9 * (stamp_ns - START_NS) * SPEED_M_S, 0, 0) @ camera.ego_T_camera  # it was faster
        cameras.append(replace(camera, image=np.ascontiguousarray(image), ego_T_camera=moved, stamp_ns=stamp_ns))
        files[camera.name] = bytes(cv2.imencode(".jpg", cameras[-1].image[..., ::-1])[1])
    frame = Frame(tuple(cameras), START_NS, np.zeros((4, 5), np.float32), planar(100.0, 50.0, np.pi / 2))
    return FrameFolder(frame, tuple(rig), files)


def test_the_same_bytes_come_at_the_rate_of_the_cameras_from_a_vehicle_that_moves(recorded, tmp_path):
    repeat(recorded, tmp_path / "drive.mcap", 0.5)
    with BagDrive(tmp_path / "drive.mcap") as drive:
        frames = list(drive.frames())
        files = [m.data for m in drive.reader.messages() if m.topic.endswith("cam_front/image/compressed")]
        assert not drive.problems
    assert len(frames) == len(files) == 6 and all(recorded.encoded["CAM_FRONT"] in data for data in files)
    steps = np.diff([frame.stamp_ns for frame in frames]) / 1e9
    np.testing.assert_allclose(steps, 1 / RATE_HZ, atol=1e-6)
    travelled = np.diff([frame.odom_T_ego[:3, 3] for frame in frames], axis=0)
    np.testing.assert_allclose(travelled, [[0, SPEED_M_S / RATE_HZ, 0]] * 5, atol=1e-6)  # north is its x
    mounted = {camera.name: camera for camera in recorded.rig}
    for frame in frames:
        assert frame.points is None and len(frame.cameras) == len(mounted)
        for camera in frame.cameras:  # one speed all along, that between the pictures of a frame included
            moved = camera.ego_T_camera @ inverse(mounted[camera.name].ego_T_camera)
            later_s = 1e-9 * (camera.stamp_ns - frame.stamp_ns)
            np.testing.assert_allclose(moved, planar(SPEED_M_S * later_s, 0, 0), atol=1e-6)


def test_other_cameras_and_other_files_are_refused(recorded):
    names = [camera.name for camera in recorded.rig]
    with pytest.raises(ValueError, match=f"frame: {names[0]} is no JPEG"):
        jpegs(replace(recorded, encoded=dict.fromkeys(names, b"\x89PNG")))
    with pytest.raises(ValueError, match=f"has the cameras {names[1]}, .*; measured is with CAM_BACK, "):
        jpegs(replace(recorded, frame=replace(recorded.frame, cameras=recorded.frame.cameras[1:])))


def test_the_result_tells_the_size_of_the_recorded_pictures(recorded, tmp_path, monkeypatch):
    played = []
    metrics = dict.fromkeys(latency._KEPT, 1.0) | {"map": 0.5}
    monkeypatch.setattr(latency.nodes, "play_all", lambda bag, *rest: played.append(bag.stat().st_size) or metrics)
    result = latency.run(None, 0.2, 1600, 900, recorded)
    camera = recorded.frame.cameras[0]
    assert result["picture"] == [camera.width, camera.height] and "map" not in result and played[0] > 0
    assert result["jpeg_bytes"] == int(np.mean([len(file) for file in recorded.encoded.values()]))


def test_executors_are_compared_in_turns_by_medians(recorded, monkeypatch):
    played = []

    def play(bag, seconds, out, weights, is_recorded):
        with BagDrive(bag) as drive:
            played.append((os.environ["MAPKD_EXECUTOR"], len(list(drive.frames())), is_recorded))
        ms = 10.0 * len(played)
        stages = {"queue": {"p50": 1.0}, "network": {"p50": ms}}
        return {"frames_out_over_in": 0.5, "latency_ms": {"p50": ms, "p95": 2 * ms}, "stages_ms": stages}

    monkeypatch.delenv("MAPKD_EXECUTOR", raising=False)
    monkeypatch.setattr(executors.nodes, "play", play)
    result = executors.run(None, recorded, 1.0, turns=3)
    assert played == list(executors.RUNS) * 3 and "MAPKD_EXECUTOR" not in os.environ
    assert [row["network"] for row in result["runs"]] == [50.0, 60.0, 70.0, 80.0]
    row = executors.markdown(result)[2 + 3]
    cells = ["`EventsExecutor`", "no", "15 Hz", "50 %", "80 ms", "160 ms", "1.0 ms", "80 ms"]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == cells
