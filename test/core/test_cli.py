# SPDX-License-Identifier: Apache-2.0
"""The command line: help, errors on one line, and the short commands on made-up input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from mapkd_core import __version__, cli
from mapkd_core.bags.read import BagDrive
from mapkd_core.commands.output import write_picture
from mapkd_core.config import ModelConfig
from mapkd_core.data.frame_folder import FrameFolder, write_frame_folder
from mapkd_core.data.seeds import SPLITS
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame, MapElement
from mapkd_core.worlds.rig import nuscenes_rig, scaled
from mapkd_core.writing import write_json


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A student that was never trained."""
    torch.manual_seed(0)
    config = ModelConfig()
    path = tmp_path_factory.mktemp("weights") / "student.safetensors"
    save_weights(path, build(config).state_dict(), config, {"classes": list(config.classes)})
    return path


@pytest.fixture
def frame_folder(tmp_path):
    """Six small pictures of noise, one labelled divider straight ahead."""
    rng = np.random.default_rng(1)
    rig = scaled(nuscenes_rig(), 160, 90)
    cameras = tuple(
        replace(camera, image=rng.integers(0, 255, (90, 160, 3), np.uint8), stamp_ns=10**18) for camera in rig
    )
    divider = MapElement("divider", np.array([[2.0, 1.0], [20.0, 1.0]]))
    folder = FrameFolder(Frame(cameras, 10**18, None, np.eye(4)), rig, {}, (divider,), ("divider", "boundary"))
    return write_frame_folder(folder, tmp_path / "frame")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_explains_and_gives_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert f"example:\n  mapkd {command}" in text and "--json" in text
    assert max(map(len, text.splitlines())) <= 120


def test_help_shows_every_default(capsys):
    for command, shown in (("bag", "begin in the drive (default: 0.0)"), ("score", "(default: divider ped_crossing")):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        assert shown in " ".join(capsys.readouterr().out.split())


def test_files_appear_whole_or_with_an_error(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"x": 1})
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]
    with pytest.raises(TypeError):
        write_json(tmp_path / "a" / "b.json", {"x": object()})
    assert json.loads((tmp_path / "a" / "b.json").read_text()) == {"x": 1}
    with pytest.raises(OSError, match="cannot be written"):
        write_picture(tmp_path / "absent" / "a.png", np.zeros((2, 2, 3), np.uint8))


def test_help_comes_without_loading_torch():
    code = "import sys; from mapkd_core import cli; cli.parser(); sys.exit(bool({'torch', 'cv2'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MISSING = "/nonexistent/student.safetensors"
BAD = {
    "evaluate without source": (["evaluate"], 2, "--roads --procedural --data --nuscenes --bags is required"),
    "evaluate missing weights": (["evaluate", "--procedural", "1", "--weights", MISSING], 1, MISSING),
    "evaluate missing road map": (["evaluate", "--roads", "/nonexistent/a.json.gz", "--weights", "W"], 1, "a.json.gz"),
    "evaluate no worlds": (["evaluate", "--procedural", "0", "--weights", "W"], 1, "procedural = 0"),
    "evaluate size": (["evaluate", "--procedural", "1", "--size", "big", "--weights", "W"], 1, "WIDTHxHEIGHT"),
    "evaluate no samples": (["evaluate", "--data", "/nonexistent", "--weights", "W"], 1, "mapkd dataset"),
    "dataset without out": (["dataset"], 2, "--out"),
    "dataset no worlds": (["dataset", "--out", "/nonexistent", "--worlds", "0"], 1, "worlds = 0"),
    "dataset absent map": (["dataset", "--out", "TMP/d", "--maps", "/nonexistent/a.json.gz"], 1, "no such road map"),
    "dataset benchmark absent map": (
        ["dataset", "--out", "TMP/d", "--benchmark", "smoke", "--maps", "/nonexistent/a.json.gz"], 1, "a.json.gz",
    ),
    "dataset across splits": (
        ["dataset", "--out", "/nonexistent", "--first-seed", "99999", "--worlds", "2"], 1, "training into validation",
    ),
    "train no worlds": (["train", "--worlds", "0", "--out", "TMP/run"], 1, "worlds = 0"),
    "train typo after an option": (["train", "--out", "/nonexistent/run", "stepz=3"], 1, "did you mean 'steps'"),
    "train stray word": (["train", "x=1", "--out", "x", "y"], 2, "unrecognized arguments: y; see mapkd train"),
    "train no yaml": (["train", "/nonexistent/run.yaml"], 1, "no configuration file at /nonexistent/run.yaml"),
    "train broken yaml": (["train", "steps=[1"], 1, "override 'steps=[1' is not valid YAML"),
    "train typo": (["train", "stepz=3", "--out", "/nonexistent/run"], 1, "did you mean 'steps'"),
    "train two files": (["train", "a.yaml", "b.yaml"], 1, "2 configuration files"),
    "train nothing to resume": (["train", "--resume", "--out", "/nonexistent/run"], 1, "nothing to resume"),
    "ship without run": (["ship", "/nonexistent/run"], 1, "/nonexistent/run"),
    "predict confidence": (["predict", "TMP", "--min-confidence", "7"], 1, "min-confidence = 7.0"),
    "evaluate confidence": (["evaluate", "--data", "TMP", "--min-confidence", "2", "--weights", "W"], 1, "0 to 1"),
    "evaluate no frames": (["evaluate", "--data", "TMP", "--frames", "0", "--weights", "W"], 1, "frames = 0"),
    "predict no folder": (["predict", "/nonexistent/frame", "--weights", "W"], 1, "/nonexistent/frame"),
    "bag not mcap": (["bag", "/nonexistent/frame", "out.bag"], 1, "must end in .mcap"),
    "bag no folder": (["bag", "/nonexistent/frame", "TMP/out.mcap"], 1, "/nonexistent/frame"),
    "bag paths": (["bag", "TMP/out.mcap"], 1, "mapkd bag DIR out.mcap"),
    "bag scene of nothing": (["bag", "TMP", "TMP/out.mcap", "--scene", "s"], 1, "--scene needs --nuscenes"),
    "calibration scene of nothing": (["calibration", "--scene", "s"], 1, "--scene needs --nuscenes"),
    "bag without scene": (["bag", "--nuscenes", "/nonexistent", "TMP/out.mcap"], 1, "--scene NAME"),
    "bag no dataset": (["bag", "--nuscenes", "/nonexistent", "--scene", "s", "TMP/out.mcap"], 1, "/nonexistent"),
    "calibration no bag": (["calibration", "/nonexistent/a.bag"], 1, "no bag at /nonexistent/a.bag"),
    "evaluate without": (["evaluate", "--procedural", "1", "--without", "sd", "--weights", "W"], 1, "--data DIR"),
    "evaluate pictures": (["evaluate", "--data", "TMP", "--pictures", "TMP/p", "--weights", "W"], 1, "--out FILE"),
    "report no evaluation": (["report", "/nonexistent/a.json", "TMP/a.html"], 1, "/nonexistent/a.json"),
    "render no map": (["render", "/nonexistent/a.json.gz", "TMP"], 1, "/nonexistent/a.json.gz"),
    "render too large": (["render", "300000", "TMP", "--size", "99999x99999"], 1, "more than 64 million pixels"),
    "render no frames": (["render", "300000", "TMP", "--frames", "0"], 1, "frames = 0"),
    "export cameras": (["export", "TMP/a.onnx", "--cameras", "9", "--weights", "W"], 1, "cameras = 9"),
    "bench repeats": (["bench", "speed", "--repeats", "0", "--weights", "W"], 1, "repeats = 0"),
    "demo missing weights": (["demo", "--out", "TMP", "--weights", MISSING], 1, MISSING),
    "ros what": (["ros", "fly"], 2, "'fly'"),
    "no command": ([], 2, "COMMAND"),
    "unknown command": (["fly"], 2, "'fly'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_line_and_a_code(case, weights, tmp_path, capsys):
    arguments, code, part = BAD[case]
    arguments = [a.replace("TMP", str(tmp_path)) if a != "W" else str(weights) for a in arguments]
    try:
        found = cli.main(arguments)
    except SystemExit as end:
        found = end.code
    output = capsys.readouterr()
    assert found == code
    assert output.out == ""
    assert output.err.startswith("mapkd: error: ") and output.err.count("\n") == 1
    assert part in output.err


def test_settings_may_follow_options():
    assert cli._parsed(["train", "a=1", "--out", "x", "b=2"]).settings == ["a=1", "b=2"]


def test_version_is_that_of_both_packages(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"mapkd {__version__}\n"
    root = Path(__file__).parents[2]
    assert f'\nversion = "{__version__}"\n' in (root / "pyproject.toml").read_text()
    assert f"<version>{__version__}</version>" in (root / "package.xml").read_text()


def test_a_bag_that_was_cut_off_says_so(frame_folder, tmp_path, caplog):
    bag, cut = tmp_path / "one.mcap", tmp_path / "cut.mcap"
    assert cli.main(["bag", str(frame_folder), str(bag)]) == 0
    cut.write_bytes(bag.read_bytes()[:-2000])
    for command in (["calibration", str(cut)], ["view", str(cut), str(tmp_path / "out")]):
        caplog.clear()
        assert cli.main(command) == 0
        assert "cut.mcap" in caplog.text, command


def test_a_wrong_road_map_costs_no_earlier_results(tmp_path, weights, monkeypatch, capsys):
    monkeypatch.setattr("mapkd_core.demo.ros_environment.ros_environment", dict)
    for name in ("metrics.json", "drive.mcap"):
        (tmp_path / name).write_text("kept")
    assert (
        cli.main(["demo", "--out", str(tmp_path), "--weights", str(weights), "--roads", "/nonexistent/a.json.gz"]) == 1
    )
    assert "/nonexistent/a.json.gz" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "drive.mcap"}


def test_splits_share_no_seed():
    edges = sorted((seeds.start, seeds.stop) for seeds in SPLITS.values())
    assert all(a[1] <= b[0] for a, b in pairwise(edges))


def test_predict_answers_with_one_line_of_json_and_writes_its_files(frame_folder, weights, tmp_path, capsys):
    arguments = ["predict", str(frame_folder), "--weights", str(weights), "--backend", "torch", "--json"]
    arguments += ["--vectors", "query", "--min-confidence", "0", "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    answer = json.loads(output)
    assert answer["cameras"] == [camera.name for camera in nuscenes_rig()]
    assert 1 < len(answer["elements"]) <= ModelConfig().queries
    assert np.abs([e["vertices_m"] for e in answer["elements"]]).max() <= 30
    assert answer["scores"]["iou_ped_crossing"] is None, "crossings are not labelled in this frame"
    assert answer["scores"]["iou_divider"] is not None
    assert json.loads((tmp_path / "out" / "map.json").read_text()) == answer
    for picture in ("map.png", "truth.png"):
        assert (tmp_path / "out" / picture).stat().st_size > 10_000


def test_a_damaged_picture_is_named(frame_folder, weights, capsys):
    picture = next(frame_folder.glob("CAM_BACK.*"))
    picture.write_bytes(picture.read_bytes()[:200])
    assert cli.main(["predict", str(frame_folder), "--weights", str(weights)]) == 1
    assert "CAM_BACK" in capsys.readouterr().err


def test_a_frame_folder_becomes_a_bag_that_reads_back(frame_folder, tmp_path, capsys):
    bag = tmp_path / "bags" / "one.mcap"
    assert cli.main(["bag", str(frame_folder), str(bag), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bag": str(bag), "frames": 1, "bytes": bag.stat().st_size}
    with BagDrive(bag) as drive:
        frames, truth = list(drive.frames()), drive.truth()
    assert [len(frame.cameras) for frame in frames] == [6]
    assert truth[10**18].labelled == ("divider", "boundary")
    assert cli.main(["bag", str(frame_folder), str(bag)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_the_installed_command_and_the_module_are_the_same(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "mapkd_core.cli", "predict", "/nonexistent"],
        capture_output=True, text=True, check=False, env=os.environ | {"MAPKD_TRACEBACK": ""},
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("mapkd: error:") and "Traceback" not in run.stderr
