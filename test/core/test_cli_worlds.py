# SPDX-License-Identifier: Apache-2.0
"""The commands that render: dataset, train, ship, evaluate, render, export; small, but whole."""

from __future__ import annotations

import json

import cv2
import pytest
import torch

from mapkd_core import cli
from mapkd_core.mapper import Mapper


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A network trained for two steps by the commands a user would type."""
    folder = tmp_path_factory.mktemp("train")
    data = str(folder / "data")
    config = folder / "small.yaml"
    config.write_text("steps: 2\nbatch: 1\nworkers: 0\nprecision: fp32\nmodel: {bev_width: 16}\n")
    assert cli.main(["dataset", "--out", data, "--worlds", "1", "--frames", "2", "--workers", "1"]) == 0
    arguments = ["train", str(config), f"data={data}", f"validation={data}", "--out", str(folder / "run")]
    torch.manual_seed(0)
    assert cli.main(arguments) == 0
    return folder / "run"


@pytest.mark.slow
def test_trained_weights_are_evaluated_and_shipped_with_their_scores(run_folder, tmp_path, capsys):
    report, weights = tmp_path / "report.json", run_folder / "student.safetensors"
    evaluate = ["evaluate", "--procedural", "1", "--frames", "2", "--workers", "1", "--backend", "torch", "--json"]
    assert cli.main([*evaluate, "--weights", str(weights), "--out", str(report)]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 2 and set(summary["vectors"]) == {"query", "raster"}
    written = json.loads(report.read_text())
    assert written["vectors"]["query"]["frames"] == 2
    assert set(written["vectors"]["query"]["iou_by_distance"]) == {"0-10", "10-20", "20-30"}
    assert cli.main(["ship", str(run_folder), "--reports", str(report), "--out", str(tmp_path / "weights")]) == 0
    mapper = Mapper(tmp_path / "weights" / "student.safetensors", backend="torch")
    assert mapper.card["metrics"]["report"] == written["vectors"]
    assert mapper.card["licence"] == "Apache-2.0" and mapper.card["camera_order"][0] == "CAM_FRONT"
    assert mapper.vectors == mapper.card["vectors"]


@pytest.mark.slow
def test_a_report_of_other_weights_does_not_ship(run_folder, tmp_path, capsys):
    report = tmp_path / "other.json"
    report.write_text(json.dumps({"sha256": "0" * 64, "vectors": {}}))
    assert cli.main(["ship", str(run_folder), "--reports", str(report), "--out", str(tmp_path / "weights")]) == 1
    assert "evaluate them again" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()


@pytest.mark.slow
def test_samples_on_disk_are_evaluated_and_the_worst_frames_make_a_page(run_folder, tmp_path, capsys):
    arguments = ["evaluate", "--data", str(run_folder.parent / "data"), "--backend", "torch", "--vectors", "raster"]
    arguments += ["--out", str(tmp_path / "report.json"), "--pictures", str(tmp_path / "worst")]
    assert cli.main([*arguments, "--weights", str(run_folder / "student.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["each_frame"]) == 2 and set(report["curves"]["raster"]["divider"]) == {"0.5", "1", "1.5"}
    pictures = [tmp_path / entry["picture"] for entry in report["worst"]]
    assert pictures and all(cv2.imread(str(path)) is not None for path in pictures)
    assert cli.main(["report", str(tmp_path / "report.json"), str(tmp_path / "page.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == len(pictures)


@pytest.mark.slow
def test_a_finished_run_is_not_overwritten(run_folder, capsys):
    assert cli.main(["train", "--out", str(run_folder)]) == 1
    assert "--resume" in capsys.readouterr().err


@pytest.mark.slow
def test_render_draws_the_pictures_it_names(tmp_path, capsys):
    assert cli.main(["render", "300001", str(tmp_path), "--frames", "1", "--size", "320x180", "--json"]) == 0
    (path,) = json.loads(capsys.readouterr().out)["pictures"]
    assert cv2.imread(path).std() > 20


@pytest.mark.slow
def test_export_is_an_onnx_file_that_runs(run_folder, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    out = tmp_path / "student.onnx"
    arguments = ["export", str(out), "--cameras", "2", "--weights", str(run_folder / "student.safetensors"), "--json"]
    assert cli.main(arguments) == 0
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["images", "plan"]
    assert session.get_inputs()[0].shape[1] == "cameras", "one file serves any number of cameras"


@pytest.mark.slow
def test_view_draws_the_worst_frames_first(run_folder, tmp_path, capsys):
    arguments = ["view", str(run_folder.parent / "data"), str(tmp_path), "--json"]
    assert cli.main(arguments) == 0
    plain = json.loads(capsys.readouterr().out)["pictures"]
    assert len(plain) == 2 and all(cv2.imread(p["picture"]) is not None and p["miou"] is None for p in plain)
    assert cli.main([*arguments, "--weights", str(run_folder / "student.safetensors")]) == 0
    mious = [p["miou"] for p in json.loads(capsys.readouterr().out)["pictures"]]
    assert mious == sorted(mious) and len(mious) == 2
