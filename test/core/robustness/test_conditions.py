# SPDX-License-Identifier: Apache-2.0
"""Conditions change what they say and nothing else; the score of a condition follows from its frames."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.robustness import bench, rigs
from mapkd_core.robustness.conditions import CAMERAS, conditions
from mapkd_core.robustness.frames import KnownFrame, recorded
from mapkd_core.robustness.resilience import mean_resilience, resilience
from mapkd_core.robustness.table import markdown
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Camera, Frame


@pytest.fixture
def frame() -> Frame:
    images = np.random.default_rng(0).integers(0, 255, (6, 24, 32, 3), np.uint8)
    K = np.array([[20.0, 0, 16], [0, 20, 12], [0, 0, 1]])
    return Frame(tuple(Camera(name, image, K, np.eye(4), 32, 24) for name, image in zip(CAMERAS, images)))


@pytest.fixture
def earlier(frame: Frame) -> Frame:
    images = np.random.default_rng(1).integers(0, 255, (6, 24, 32, 3), np.uint8)
    cameras = (Camera(c.name, image, c.K, c.ego_T_camera, 32, 24) for c, image in zip(frame.cameras, images))
    return Frame(tuple(cameras))


def changed(before: Frame, after: Frame) -> list[str]:
    return [a.name for a, b in zip(after.cameras, before.cameras) if a.image is not b.image]


def test_names_are_unique_and_draws_repeat(frame, earlier):
    every = conditions()
    assert len({c.key for c in every}) == len(every) and every[0].key == "clean/0"
    assert {c.name for c in every if c.kind == "corruption"} == {
        "blur", "dark", "overexposed", "jpeg", "lens_dirt", "rain", "frozen", "swapped", "turned", "moved",
    }  # fmt: skip
    for condition in every:
        one, two = (condition.apply(frame, earlier, "a-0") for _ in range(2))
        for a, b in zip(one.cameras, two.cameras):
            assert np.array_equal(a.ego_T_camera, b.ego_T_camera) and (a.image is None) == (b.image is None)
            assert a.image is None or np.array_equal(a.image, b.image)


def test_missing_cameras_are_the_named_ones(frame, earlier):
    for condition in conditions():
        if condition.kind in ("missing", "any missing"):
            lost = [c.name for c in condition.apply(frame, earlier, "t").cameras if c.image is None]
            assert len(lost) == condition.severity
            assert condition.name not in CAMERAS or lost == [condition.name]
    with pytest.raises(ValueError, match="all 6 cameras"):
        rigs.without(frame, CAMERAS)
    with pytest.raises(ValueError, match="CAM_ROOF"):
        rigs.without(frame, ["CAM_ROOF"])


def test_frozen_cameras_show_the_earlier_picture(frame, earlier):
    for severity, count in ((1, 1), (2, 2), (3, 4)):
        spoilt = rigs.frozen(frame, earlier, severity, np.random.default_rng(0))
        old = {c.name: c.image for c in earlier.cameras}
        names = changed(frame, spoilt)
        assert len(names) == count
        assert all(c.image is old[c.name] for c in spoilt.cameras if c.name in names)


def test_swapped_cameras_keep_their_calibration(frame):
    spoilt = rigs.swapped(frame, 3)
    assert changed(frame, spoilt) == ["CAM_FRONT", "CAM_BACK"]
    assert spoilt.cameras[0].image is frame.cameras[3].image and spoilt.cameras[0].K is frame.cameras[0].K


def test_calibrations_stray_by_what_the_table_says(frame):
    for severity, degrees, metres in ((1, 1, 0.02), (3, 3, 0.10)):
        turned = rigs.turned(frame, severity, np.random.default_rng(0)).cameras
        angles = [np.degrees(np.arccos((np.trace(c.ego_T_camera[:3, :3]) - 1) / 2)) for c in turned]
        assert np.allclose(angles, degrees, atol=0.05)
        moved = rigs.moved(frame, severity, np.random.default_rng(0)).cameras
        assert np.allclose([np.linalg.norm(c.ego_T_camera[:3, 3]) for c in moved], metres)
        assert changed(frame, rigs.moved(frame, severity, np.random.default_rng(0))) == []


def test_resilience_is_the_share_that_is_left():
    """(0.4 + 0.3 + 0.2) / 3 of 0.5 is 0.6."""
    assert resilience([0.4, 0.3, 0.2], 0.5) == pytest.approx(0.6)
    assert mean_resilience({"a": 0.6, "b": 0.8}) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="clean one above 0"):
        resilience([0.4], 0.0)


@pytest.fixture
def weights(tmp_path, tiny):
    save_weights(tmp_path / "w.safetensors", build(tiny).state_dict(), tiny, {})
    return tmp_path / "w.safetensors"


def test_a_broken_off_run_is_gone_on_with(tmp_path, weights, tiny, make_sample, rig, monkeypatch):
    from mapkd_core.data import samples

    samples.write(tmp_path / "data", "w0", [make_sample(0.1 * i) for i in range(3)])
    known = list(recorded(tmp_path / "data", 2, tiny))
    assert [k.token for k in known] == ["w0-0", "w0-2"]
    before = samples.SampleFolder(tmp_path / "data")[1].prepared.images[0].transpose(1, 2, 0)
    assert np.array_equal(known[1].earlier.cameras[0].image, before)
    out = tmp_path / "cameras.json"
    some = bench.CameraBench(tmp_path / "data", weights, 2, threads=1, only=("CAM_FRONT",), backend="torch")
    first = bench.run(some, out)
    assert [row["name"] for row in first["rows"]] == ["clean", "CAM_FRONT"]
    done = []
    score = bench.score
    monkeypatch.setattr(bench, "score", lambda condition, *rest: done.append(condition.key) or score(condition, *rest))
    bench.run(replace(some, only=("CAM_FRONT", "dark")), out)
    written = json.loads(out.read_text())
    assert done == ["dark/1", "dark/2", "dark/3"]
    assert written["rows"][:2] == first["rows"] and any("dark" in row for row in markdown(written))
    with pytest.raises(ValueError, match=r"another run \(its frames differ"):
        bench.run(replace(some, frames=3), out)
    with pytest.raises(ValueError, match="are unknown; known: clean, CAM_FRONT"):
        bench.run(replace(some, only=("snow",)))


def test_ground_of_a_lost_camera_is_unobserved(weights, make_sample, tiny):
    from mapkd_core.evaluation.rendered import sample_frame

    sample = make_sample(0.0)
    frame = sample_frame(sample)
    frame = Frame(tuple(replace(camera, name=name) for name, camera in zip(CAMERAS, frame.cameras)))
    known = [KnownFrame("a", frame, frame, sample.elements)]
    mapper = Mapper(weights, "torch", vectors="query", threads=1)
    rows = {c.name: bench.score(c, known, mapper) for c in conditions() if c.name in ("clean", "front three")}
    assert rows["front three"]["observed"] < rows["clean"]["observed"] - 0.2
