# SPDX-License-Identifier: Apache-2.0
"""The cost of a fleet's logs by hand, and that it is measured and told."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mapkd_core import mapper
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.write import encode_jpeg
from mapkd_core.commands import performance_blocks
from mapkd_core.models.build import build
from mapkd_core.performance import bag_scaling, fleet
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Camera, Frame


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query"})
    return path


@pytest.fixture(scope="module")
def grey(rig) -> tuple[Camera, ...]:
    return tuple(replace(c, image=np.full((c.height, c.width, 3), 80, np.uint8)) for c in rig)


def test_a_thousand_kilometres_by_hand():
    """At 50 km/h 20 hours; at 2 Hz 144,000 frames; at 4 frames a second 36,000 s, ten core hours, half a coin at 0.05.

    Live, 2 frames a second are half a core's work.
    """
    assert fleet.on_paper(4.0, 2.0, 50.0, 0.05) == {
        "sampling_hz": 2.0, "speed_kmh": 50.0, "frames": 144_000, "core_hours": 10.0, "cost": 0.5,
        "cores_per_vehicle": 0.5,
    }  # fmt: skip


def test_a_fleet_is_measured_and_told(weights, grey):
    result = fleet.run(weights, 2, workers=1, speeds_kmh=(40.0,), price=0.1, frame=Frame(grey), backend="torch")
    assert json.loads(json.dumps(result)) == result and result["frames_per_s_per_core"] > 0
    rate = result["frames_per_s_per_core"]
    assert [row["frames"] for row in result["rows"]] == [1_080_000, 180_000]
    assert result["rows"][0]["core_hours"] == pytest.approx(1_080_000 / rate / 3600, abs=0.01, rel=1e-3)
    told = "\n".join(performance_blocks.fleet(result))
    assert "12 Hz" in told and "40 km/h" in told and "1,080,000" in told and "a core hour costs 0.1" in told
    assert "every frame planned anew" in told
    older = {
        key: value for key, value in result.items() if key not in ("several_bags", "is_planned_anew", "jpeg_bytes")
    }
    assert "planned anew: -" in (told := "\n".join(performance_blocks.fleet(older))) and told.count(" - |") == 8


def test_every_frame_is_planned(weights, grey, monkeypatch):
    planned = []
    monkeypatch.setattr(mapper, "plan", lambda *given, plan=mapper.plan: planned.append(1) or plan(*given))
    data = [encode_jpeg(camera.image) for camera in grey]
    for frames in (1, 3):
        fleet._rate(weights, "torch", grey, data, frames, 0.0)
    assert len(planned) == 4


@pytest.mark.slow
def test_several_bags_are_mapped_by_the_command_itself(weights, grey):
    data = [encode_jpeg(camera.image) for camera in grey]
    options = ["--backend", "torch", "--weights", str(weights)]
    found = bag_scaling.run(grey, data, 2, 1, options, rounds=1)
    assert (found["bags"], found["frames_a_bag"], found["workers"]) == (2, 2, 1)
    seconds = {case: taken[0] for case, taken in found["seconds"].items()}
    assert list(seconds) == ["1 x 1", "1 x 2"]
    assert found["whole"]["one_per_s"] == pytest.approx(4 / seconds["1 x 2"], rel=0.02)
    told = "\n".join(performance_blocks._several_bags(found))
    assert (
        "| one a core: 1 " in told and f" {found['whole']['one_per_s']:.2f} |" in told and "2 bags of 2 frames" in told
    )
    with pytest.raises(RuntimeError, match=r"predict --bags failed: .*unknown"):
        bag_scaling.run(grey, data, 2, 1, ["--backend", "unknown"], rounds=1)


def test_the_cameras_of_a_drive_are_never_quite_where_they_were(tmp_path, grey):
    bag_scaling.write_drive(tmp_path / "a.mcap", grey, [encode_jpeg(camera.image) for camera in grey], 3)
    with BagDrive(tmp_path / "a.mcap") as drive:
        frames = list(drive.frames())
    assert [sum(camera.image is not None for camera in frame.cameras) for frame in frames] == [6, 6, 6]
    for before, after in pairwise(frames):
        moved = [b.ego_T_camera[0, 3] - a.ego_T_camera[0, 3] for a, b in zip(before.cameras, after.cameras)]
        assert sum(np.abs(moved) > 1e-6) >= 5


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"price": 0.0}, {"speeds_kmh": (30.0, 0.0)}, {"speeds_kmh": ()}])
def test_what_is_not_positive_is_refused(wrong):
    with pytest.raises(ValueError, match="all must be positive"):
        fleet.run(**wrong)
