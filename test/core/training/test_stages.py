# SPDX-License-Identifier: Apache-2.0
"""Stages of a training: each gets the weights of those before it, and none is done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.config import TrainConfig
from mapkd_core.data.samples import write
from mapkd_core.training import stages
from mapkd_core.training.checkpoint import load_training, load_weights
from mapkd_core.types import MapElement


@pytest.fixture
def configs(tmp_path, tiny, make_sample) -> dict[str, TrainConfig]:
    points = np.random.default_rng(0).uniform(-3, 3, (40, 5)).astype(np.float32)
    road = (MapElement("road", np.array([(-8.0, 0.0), (8.0, 0.0)])),)
    rich = [replace(s, points=points, sd=road, hd=s.elements) for s in (make_sample(0.0), make_sample(0.6))]
    write(tmp_path / "data", "a", rich)
    data = str(tmp_path / "data")
    student = TrainConfig(
        tiny, data, data, batch=2, steps=1, warmup=1, precision="fp32", workers=0, scheme="mapkd"
    )  # fmt: skip
    known = replace(tiny, bev_width=12, modalities=("camera", "lidar", "sd"), lidar_width=8, prior_width=16)
    coach = replace(student, model=replace(known, modalities=("camera", "sd")))
    return {"teacher": replace(student, model=known, scheme=""), "coach": coach, "student": student}


def test_a_scheme_for_all_stages_is_not_meant_for_the_teacher(configs):
    asked = replace(configs["teacher"], scheme="mapkd", scheme_settings={"token": False})
    for name in ("refinement", "teacher"):
        found = stages.handed_on(name, asked, {})
        assert (found.scheme, found.scheme_settings) == ("", {})
    by_itself = stages.handed_on("teacher", replace(asked, teacher="a.safetensors"), {})
    assert (by_itself.scheme, by_itself.teacher) == ("mapkd", "a.safetensors")
    assert stages.handed_on("student", asked, {"teacher": Path("t"), "coach": Path("c")}).coach == "c"


def test_each_stage_learns_from_those_before(configs, tmp_path, monkeypatch):
    done = stages.run(configs, tmp_path / "run")
    told = {name: load_training(tmp_path / "run" / name / "last.pt")["config"] for name in done}
    assert [told[name]["teacher"] for name in configs] == ["", str(done["teacher"]), str(done["teacher"])]
    assert [told[name]["coach"] for name in configs] == ["", "", str(done["coach"])]
    assert load_weights(done["student"])[0].config == configs["student"].model
    monkeypatch.setattr(stages, "train", lambda *_, **__: pytest.fail("trained again"))
    assert stages.run(configs, tmp_path / "run") == done
    with pytest.raises(ValueError, match=r"run/coach was trained with other settings \(steps\)"):
        stages.run(configs | {"coach": replace(configs["coach"], steps=2)}, tmp_path / "run")


def test_an_interrupted_stage_goes_on(configs, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stages, "train", lambda config, folder, resume: asked.append(resume) or Path("w"))
    (tmp_path / "run" / "teacher").mkdir(parents=True)
    (tmp_path / "run" / "teacher" / "last.pt").touch()
    stages.run({name: configs[name] for name in ("teacher", "student")}, tmp_path / "run")
    assert asked == [True, False]


def test_an_unknown_stage_is_refused(configs, tmp_path):
    with pytest.raises(ValueError, match="stage 'tutor' is unknown; known: refinement, teacher, coach, student"):
        stages.run({"tutor": configs["teacher"]}, tmp_path)
