# SPDX-License-Identifier: Apache-2.0
"""`mapkd train` does what its own documentation says: steps against minutes, and the commands in the files' heads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mapkd_core import cli
from mapkd_core.config import TrainConfig, load, to_dict
from mapkd_core.data.samples import write
from mapkd_core.training.checks import check_taught
from mapkd_core.training.stages import COACH_LEARNS

TRAIN = Path(__file__).resolve().parents[3] / "config" / "train"


@pytest.fixture
def timed(tiny, make_sample, tmp_path) -> str:
    """A YAML that trains by the clock, as config/train/roads_v1_small.yaml: for hours."""
    write(tmp_path / "data", "a", [make_sample(0.0)])
    told = {"model": to_dict(tiny), "data": f"{tmp_path}/data", "validation": f"{tmp_path}/data", "batch": 1}
    told |= {"minutes": 600, "steps": 600, "workers": 0, "precision": "fp32", "warmup": 1}
    (tmp_path / "timed.yaml").write_text(json.dumps(told))
    return str(tmp_path / "timed.yaml")


def test_who_says_how_many_steps_gets_so_many(timed, tmp_path):
    assert cli.main(["train", timed, "steps=2", "--out", str(tmp_path / "run")]) == 0
    card = json.loads((tmp_path / "run" / "student.json").read_text())
    assert (card["training"]["steps"], card["training"]["minutes"]) == (2, 0.0)
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["step"] == 2
    assert cli.main(["train", timed, "steps=3", "--resume", "--out", str(tmp_path / "run")]) == 0
    assert cli.main(["train", "--stages", "student", timed, "steps=2", "--out", str(tmp_path / "staged")]) == 0


def test_who_says_both_or_neither_is_told_by_the_clock(timed, tmp_path):
    for given in (["steps=999999", "minutes=0.001"], ["minutes=0.001"]):
        out = tmp_path / str(len(given))
        assert cli.main(["train", timed, *given, "--out", str(out)]) == 0
        assert json.loads((out / "student.json").read_text())["training"]["minutes"] == 0.001
    assert load(TrainConfig, TRAIN / "roads_v1_small.yaml").minutes > 0


def told(name: str) -> TrainConfig:
    """The settings of the first command in the file's head."""
    file = TRAIN / name
    head = file.read_text().split("\nmodel:")[0]
    command = re.search(r"mapkd train THIS ((?:\S+=\S+|--out \S+|\\\n#| )+)", head)
    assert command, head
    config: TrainConfig = load(TrainConfig, file, re.findall(r"\S+=\S+", command[1]))
    return config


def test_mapdistills_answers_weigh_as_its_truth_does():
    """The paper's truth weighs 5, ours `point` in x and in y; the scheme's default is for a point of 30."""
    config, default = told("paper/mapdistill.yaml"), TrainConfig().weights["point"]
    check_taught(config)
    assert (config.scheme, config.scheme_settings) == ("mapdistill", {"points": 12 * config.weights["point"] / default})


@pytest.mark.parametrize("name", ["roads_v1_small_coach.yaml", "paper/mapkd_coach.yaml"])
def test_coaches_learn_with_the_weights_of_their_stage(name):
    config = told(name)
    check_taught(config)
    assert (config.scheme, config.scheme_settings) == ("mapkd", COACH_LEARNS)
