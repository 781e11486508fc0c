# SPDX-License-Identifier: Apache-2.0
"""The bench of schemes on two frames: each run once, gone on with, never mixed; its table worked out by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from mapkd_core.bench import distill, distill_config, distill_markdown, distill_table
from mapkd_core.bench.distill_config import Bench
from mapkd_core.bench.distill_markdown import markdown
from mapkd_core.bench.distill_plot import plot
from mapkd_core.bench.distill_rows import ABLATIONS, COLD, MAIN, order, rows
from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.data import set_manifest
from mapkd_core.data.samples import write
from mapkd_core.models.build import build
from mapkd_core.training import refine
from mapkd_core.types import MapElement


@pytest.fixture
def bench(tmp_path, tiny, make_sample, monkeypatch) -> Bench:
    rng = np.random.default_rng(0)
    rich = [replace(make_sample(s), points=rng.uniform(-3, 3, (40, 5)).astype(np.float32)) for s in (0.0, 0.6)]
    for split in ("training", "validation", "test"):
        road = (MapElement("road", np.array([(-8.0, 0.0), (8.0, 0.0)])),)
        write(tmp_path / split, "a", [replace(sample, sd=road, hd=sample.elements) for sample in rich])
    student = TrainConfig(tiny, str(tmp_path / "training"), str(tmp_path / "validation"), batch=2, steps=2, warmup=1,
                          precision="fp32", workers=0)  # fmt: skip
    known = replace(tiny, bev_width=12, lidar_width=8, prior_width=16)
    for name, modalities in (
        ("", ("camera",)),
        ("_teacher", ("camera", "lidar", "sd", "hd")),
        ("_coach", ("camera", "hd")),
    ):
        model = replace(known if name else tiny, modalities=modalities)
        (tmp_path / f"roads_v1_smoke{name}.yaml").write_text(yaml.safe_dump(to_dict(replace(student, model=model))))
    monkeypatch.setattr(distill_config, "CONFIGS", tmp_path)
    listed = {split: {"files": set_manifest.hashes(tmp_path / split)} for split in ("training", "validation", "test")}
    (tmp_path / "manifest.json").write_text(json.dumps({"splits": listed}))
    return Bench("smoke", tmp_path / "runs")


def test_rows_are_trained_once_and_gathered(bench, monkeypatch, tmp_path):
    assert distill.run(bench, ["student", "mapkd"], seeds=1) == []
    found = distill_table.table(bench, repeats=1)
    assert list(found["rows"]) == ["teacher", "coach", "student", "mapkd"] and found["steps"] == 2
    row, cost = found["rows"]["mapkd"], found["costs"]
    assert row["validation"]["frames"] == row["test"]["frames"] == 2 and 0 <= row["test"]["miou"]["mean"] <= 1
    assert cost["mapkd"] == cost["student"] and cost["teacher"]["parameters_m"] > cost["student"]["parameters_m"]
    told = json.loads((bench.run_folder("mapkd", 0) / "config.json").read_text())
    assert told["teacher"] == str(bench.weights("teacher")) and told["coach"] and told["variants"] == 2
    plot(found, tmp_path / "plot.svg")
    assert "student alone" in "\n".join(markdown(found)) and (tmp_path / "plot.svg").stat().st_size > 1000
    monkeypatch.setattr(distill, "train", lambda *_: pytest.fail("trained again"))
    assert distill.run(bench, ["student", "mapkd"], seeds=1) == []


def test_what_is_kept_goes_on_on_another_machine(bench, monkeypatch, tmp_path):
    here = replace(bench, kept=tmp_path / "kept")
    assert distill.run(here, ["student", "feature"], seeds=1) == []
    before = distill_table.table(here, repeats=1)["rows"]
    files = {str(path.relative_to(here.kept / "smoke")) for path in here.kept.rglob("*.*")}
    told = {f"{row}/0/{file}.json" for row in ("teacher", "student", "feature") for file in ("config", "result")}
    assert files == told | {"teacher/0/student.json", "teacher/0/student.safetensors"}
    kinds = {tensor.dtype for tensor in load_file(bench.weights("teacher")).values() if tensor.ndim > 1}
    assert kinds == {torch.float16}, "who learned from the teacher learned from what is kept"
    there = replace(here, out=tmp_path / "elsewhere")
    assert distill_table.table(there, repeats=1)["rows"] == before, "wherever the runs are"
    shutil.rmtree(bench.out)
    monkeypatch.setattr(distill, "train", lambda *_: pytest.fail("trained again"))
    assert distill.run(here, ["student", "feature"], seeds=1) == []
    assert distill_table.table(here, repeats=1)["rows"] == before


def test_where_the_teachers_answers_have_no_room_they_answer_anew(bench, tmp_path):
    """As in size full, where they would take a terabyte; and the row is the same but for rounding."""
    assert distill.run(bench, ["feature"], seeds=1) == []
    stored = json.loads((bench.run_folder("feature", 0) / "result.json").read_text())
    there = replace(bench, answers_gb=0.0)
    shutil.rmtree(bench.folder / "feature")
    shutil.rmtree(bench.folder / "answers")
    assert distill.run(there, ["feature"], seeds=1) == [] and not (bench.folder / "answers").exists()
    anew = json.loads((bench.run_folder("feature", 0) / "result.json").read_text())
    assert anew["teachers"] == stored["teachers"] and distill.is_done(bench, "feature", 0), "either is the same run"


def test_a_teachers_refinement_is_pretrained_first_and_once(bench, tiny, tmp_path, monkeypatch):
    refined = {"refinement_layers": 1, "refinement_width": 16}
    file = tmp_path / "roads_v1_smoke_teacher.yaml"
    told = yaml.safe_load(file.read_text())
    told["model"] |= refined
    file.write_text(yaml.safe_dump(told))
    told["model"]["modalities"] = ["camera"]
    (tmp_path / "roads_v1_smoke_refinement.yaml").write_text(yaml.safe_dump(told | {"steps": 1}))
    pretrained, pretrain = [], refine.pretrain
    monkeypatch.setattr(refine, "pretrain", lambda *a, **k: pretrained.append(pretrain(*a, **k)))
    assert distill.run(bench, ["feature"], seeds=1) == []
    assert distill.run(bench, ["response"], seeds=1) == [] and len(pretrained) == 1
    config = json.loads((bench.run_folder("teacher", 0) / "config.json").read_text())
    assert config["refinement"] == str(bench.run_folder("refinement", 0) / refine.FILE)


def test_gains_are_over_the_same_network_alone():
    """MapDistill's student has a second view: its cost, and so what it is held against, is another one."""

    def row(label, mean, scheme="", of=""):
        value = {"mean": mean, "deviation": 0.03}
        scores = {"miou": value, "query": {"map": value}, "raster": {"map": {"mean": mean, "deviation": None}}}
        return {"label": label, "scheme": scheme, "of": of, "seeds": [0, 1, 2], "validation": scores}

    rows = {
        "teacher": row("teacher", 0.6), "student": row("alone", 0.2), "student_dual": row("dual", 0.3),
        "feature": row("feature", 0.25, "feature"), "mapdistill": row("mapdistill", 0.31, "mapdistill"),
        "student_long": row("longer", 0.4, of="student"),
    }  # fmt: skip
    costs = {name: {"gflop": 2.7 if name in ("student_dual", "mapdistill") else 2.6} for name in rows}
    costs["teacher"] = {"gflop": 3.5}
    found = distill_markdown._gains({"rows": rows, "costs": costs}, ["validation"])
    body = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[2:]]
    error = "± 2.4"  # 3 points, of three runs each: 3 (2 / 3) ** 0.5
    assert body == [
        ["feature", f"+5.0 {error}", f"+5.0 {error}", "+5.0"],
        ["mapdistill", f"+1.0 {error}", f"+1.0 {error}", "+1.0"],
        ["— student longer", f"+20.0 {error}", f"+20.0 {error}", "+20.0"],
    ]


def test_the_table_tells_what_it_took(bench):
    runs = [{"seconds": 1800.0, "machine": {"threads": 2}}, {"seconds": None, "machine": {"threads": 1}}]
    assert distill_table._core_hours(runs) == 1.0
    assert distill.run(bench, ["student"], seeds=1) == []
    found = distill_table.table(bench, repeats=1) | {"core_hours": 1.04, "answers_seconds": {"teacher": 90.0}}
    assert "1 runs of 1.0 core hours in all; what teachers answer was computed once, in 2 minutes" in "\n".join(
        markdown(found)
    )


def test_a_damaged_or_unfinished_set_is_not_trained_on(bench, tmp_path):
    (tmp_path / "validation" / "a.truth.npz").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"validation/a.truth.npz is changed; remove it"):
        distill.run(bench, ["student"], seeds=1)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="the set is not complete; build it again to go on"):
        distill.run(bench, ["student"], seeds=1)


def test_a_run_that_was_stopped_goes_on(bench, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(distill, "scores", stopped)
        with pytest.raises(KeyboardInterrupt):
            distill.run(bench, ["student"], seeds=1)
    asked = []
    (bench.run_folder("student", 0) / "student.safetensors").unlink()  # as if killed after its last checkpoint
    monkeypatch.setattr(distill, "train", lambda *a, resume: asked.append(resume) or stopped())
    with pytest.raises(KeyboardInterrupt):
        distill.run(bench, ["student"], seeds=1)
    assert asked == [True]


def test_no_run_begins_when_the_time_is_over(bench, monkeypatch):
    clock = iter(range(0, 100000, 100))
    monkeypatch.setattr(distill.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(distill, "_run", lambda *_: None)
    left = distill.run(bench, ["student", "response"], seeds=2, minutes=4)
    assert left == [("response", 0), ("student", 1), ("response", 1)]


def test_other_settings_in_a_folder_are_refused(bench):
    distill.run(bench, ["student"], seeds=1)
    with pytest.raises(ValueError, match="student/0 holds a run with variants = 2, now 3 is asked for"):
        distill.run(replace(bench, steps=3), ["student"], seeds=1)
    with pytest.raises(FileNotFoundError, match="holds no finished run"):
        distill_table.table(replace(bench, out=bench.out / "none"))


def test_what_trains_for_longer_differs_in_nothing_else(bench):
    short, long = (distill_config.config(bench, name, 0) for name in ("student", "student_long"))
    assert (long.steps, long.variants) == (round(short.steps * 7 / 3), 2)
    assert replace(long, steps=short.steps, variants=short.variants) == short


def test_a_setting_that_came_after_a_run_had_its_default(bench):
    distill.run(bench, ["student"], seeds=1)
    path = bench.run_folder("student", 0) / "config.json"
    told = json.loads(path.read_text())
    del told["model"]["hd_width"], told["clip"]
    path.write_text(json.dumps(told))
    assert distill.run(bench, ["student"], seeds=1) == [] and distill.is_done(bench, "student", 0)
    path.write_text(json.dumps(told | {"clip": 3.0}))
    with pytest.raises(ValueError, match=r"holds a run with clip = 3.0, now 10.0 is asked for"):
        distill.run(bench, ["student"], seeds=1)


def test_another_camera_encoder_is_noticed(bench, tiny, tmp_path):
    path, start = tmp_path / "roads_v1_smoke.yaml", tmp_path / "start.safetensors"
    save_file(build(tiny).state_dict(), start)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"camera": str(start)}))
    distill.run(bench, ["student"], seeds=1)
    save_file(build(tiny).state_dict(), bench.camera)  # other random weights
    with pytest.raises(ValueError, match=r"student/0 began with another camera encoder than .*camera.safetensors: put"):
        distill.run(bench, ["student"], seeds=1)


def test_all_settings_of_a_scheme_are_kept_so_that_other_defaults_are_noticed(bench):
    assert distill_config.config(bench, "response", 0).scheme_settings == {"weight": 1.0, "temperature": 2.0}
    distill.run(bench, ["response"], seeds=1)
    kept = bench.run_folder("response", 0) / "config.json"
    kept.write_text(kept.read_text().replace('"temperature": 2.0', '"temperature": 3.0'))  # a default of before
    with pytest.raises(ValueError, match=r"response/0 holds a run with scheme_settings = .*'temperature': 3.0"):
        distill.run(bench, ["response"], seeds=1)


def test_order_is_teachers_then_seeds_with_ablations_beside_the_first():
    found = order([], 2, 1)
    first = [name for name, seed in found if seed == 0]
    assert first == ["teacher", "coach", *(name for name in rows() if name not in COLD)]
    assert [n for n, s in found if s == 1] == [name for name in rows() if name not in (*COLD, *ABLATIONS)]
    assert order(["cold_student"], 1, 1) == [("cold_student", 0)]
    assert order(["student"], 2, 1) == [("student", 0), ("student", 1)]
    assert order(["response"], 1, 1) == [("teacher", 0), ("response", 0)]
    with pytest.raises(ValueError, match=r"row 'mapkdd' is unknown; known: teacher, coach, .*student, student_dual"):
        order(["mapkdd"], 1, 1)


def test_students_differ_in_nothing_but_their_teaching(bench):
    for name in [*MAIN, *COLD]:
        alone = distill_config.config(bench, "cold_student" if name in COLD else "student", 1)
        taught = distill_config.config(bench, name, 1)
        same = replace(taught, model=alone.model, scheme="", scheme_settings={}, teacher="", coach="", answers="")
        assert same == alone, name


def test_mean_and_deviation():
    assert distill_table._spread([0.3, 0.4, 0.5]) == {"mean": 0.4, "deviation": 0.1}
    assert distill_table._spread([0.3, None]) == {"mean": 0.3, "deviation": None}
    assert distill_table._spread([None]) == {"mean": None, "deviation": None}
