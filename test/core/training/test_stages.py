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


def test_a_coach_teaches_schemes_that_listen_to_one(configs):
    done = {"teacher": Path("t"), "coach": Path("c")}
    for scheme, coach in {"mapkd": "c", "feature": "", "inherit": ""}.items():
        found = stages.handed_on("student", replace(configs["student"], scheme=scheme), done)
        assert (found.teacher, found.coach) == ("t", coach)


def test_mapkds_coach_learns_with_the_weights_of_its_own_script(configs):
    """0.8 and 0.8 unless the user says otherwise; a student has those of the scheme, other schemes their own."""
    done = {"teacher": Path("t")}
    assert stages.handed_on("coach", configs["coach"], done).scheme_settings == stages.COACH_LEARNS
    assert stages.COACH_LEARNS == {"tgpd_teacher": 0.8, "msrd_teacher": 0.8}
    own = replace(configs["coach"], scheme_settings={"tgpd_teacher": 0.1, "token": False})
    wanted = {"tgpd_teacher": 0.1, "msrd_teacher": 0.8, "token": False}
    assert stages.handed_on("coach", own, done).scheme_settings == wanted
    assert stages.handed_on("student", configs["student"], done).scheme_settings == {}
    assert stages.handed_on("coach", replace(configs["coach"], scheme="feature"), done).scheme_settings == {}


def test_a_stages_refinement_comes_before_the_one_that_a_yaml_names(configs):
    refined = replace(configs["teacher"], model=replace(configs["teacher"].model, refinement_layers=1), refinement="y")
    assert stages.handed_on("teacher", refined, {"refinement": Path("r")}).refinement == "r"
    assert stages.handed_on("teacher", refined, {}).refinement == "y"
    assert stages.handed_on("refinement", refined, {}).refinement == ""


LATER = {
    "an unknown scheme": ("student", {"scheme": "mapkdd"}, "unknown scheme 'mapkdd'; known: "),
    "an unknown setting": (
        "student",
        {"scheme_settings": {"betta": 1}},
        "stage student: .*mapkd.'betta'; did you",
    ),
    "no dual view": ("student", {"scheme": "mapdistill"}, "stage student: .*it needs a student with view dual"),
    "settings alone": ("student", {"scheme": "", "scheme_settings": {"beta": 1}}, "stage student: .*without a scheme"),
    "a coach unheard": ("student", {"scheme": "feature", "coach": "c"}, "stage student: coach = 'c', but scheme 'fe"),
    "weights not there": ("student", {"coach": "nobody.safetensors"}, "stage student: nobody.safetensors is missing"),
    "an optimizer": ("coach", {"optimizer": "sgd"}, "stage coach: optimizer = 'sgd'"),
    "a precision": ("coach", {"precision": "fp8"}, "stage coach: precision = 'fp8'"),
    "frames": ("student", {"data": "nowhere"}, "stage student: nowhere holds no samples"),
}


@pytest.mark.parametrize("what", LATER)
def test_what_a_later_stage_would_refuse_is_refused_before_the_first(configs, what, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "train", lambda *_, **__: pytest.fail("a stage was trained"))
    name, change, message = LATER[what]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        stages.run(configs | {name: replace(configs[name], **change)}, tmp_path / "run")


def test_polylines_nobody_taught_are_refused_before_the_first_stage(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "train", lambda *_, **__: pytest.fail("a stage was trained"))
    weights = configs["teacher"].weights | {"class": 0.0}
    given = configs | {"teacher": replace(configs["teacher"], weights=weights)}
    given["student"] = replace(configs["student"], scheme="inherit", scheme_settings={"inherit": "nothing"})
    with pytest.raises(ValueError, match="stage student: inherit teaches the answers of the teacher's query head"):
        stages.run(given, tmp_path / "run")


@pytest.mark.parametrize("name", ["teacher", "coach"])
def test_classes_nobody_taught_are_refused_before_the_first_stage(configs, name, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "train", lambda *_, **__: pytest.fail("a stage was trained"))
    weights = configs[name].weights | {"semantic": 0.0, "dice": 0.0}
    stage = "coach" if name == "teacher" else "student"
    with pytest.raises(ValueError, match=f"stage {stage}: mapkd teaches the semantic map of the {name}, which learned"):
        stages.run(configs | {name: replace(configs[name], weights=weights)}, tmp_path / "run")


def test_networks_that_do_not_fit_are_refused_before_the_first_stage(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "train", lambda *_, **__: pytest.fail("a stage was trained"))
    other = replace(configs["coach"], model=replace(configs["coach"].model, heights=(0.0, 1.0)))
    with pytest.raises(ValueError, match=r"stage coach: teacher and student differ in heights: \(0.0,\) and"):
        stages.run(configs | {"coach": other}, tmp_path / "run")
    bare = configs["teacher"]
    one, two = (replace(bare, model=replace(bare.model, refinement_layers=layers)) for layers in (1, 2))
    with pytest.raises(ValueError, match=r"stage teacher: refinement .* differ in refinement_layers: 2 and 1"):
        stages.run({"refinement": two, "teacher": one}, tmp_path / "run")
    with pytest.raises(ValueError, match=r"stage refinement: model\.refinement_layers = 0"):
        stages.run({"refinement": bare, "teacher": one}, tmp_path / "run")


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
