# SPDX-License-Identifier: Apache-2.0
"""A run that was killed goes on as if it had not been: weights, log and speed; and never as another run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapkd_core import cli
from mapkd_core.config import TrainConfig
from mapkd_core.data.samples import write
from mapkd_core.models.build import build
from mapkd_core.training import loop, refine, run_state
from mapkd_core.training.checkpoint import load_training, read_weights, save_weights
from mapkd_core.training.log import Log
from mapkd_core.training.loop import train
from mapkd_core.training.parallel import ALONE, Group
from mapkd_core.training.validate import validate


@pytest.fixture
def config(tmp_path, tiny, make_sample) -> TrainConfig:
    write(tmp_path / "data", "a", [make_sample(0.0), make_sample(0.6)])
    data = str(tmp_path / "data")
    return TrainConfig(tiny, data, data, batch=1, steps=4, warmup=1, precision="fp32", workers=0, checkpoint_every=3)


def _rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def _killed(*_, **__):
    raise KeyboardInterrupt


def test_killed_before_the_weights_are_written_it_takes_no_further_step(config, tmp_path, monkeypatch):
    whole = read_weights(train(config, tmp_path / "whole"))[0]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_weights", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", lambda *_: pytest.fail("a step too many"))
        parts = read_weights(train(config, tmp_path / "parts", resume=True))[0]
    assert whole.keys() == parts.keys() and all(torch.equal(parts[name], value) for name, value in whole.items())
    assert _rows(tmp_path / "parts") == _rows(tmp_path / "whole")  # validated twice, told once


def test_what_was_handed_over_at_the_start_is_not_handed_over_again(config, tiny, tmp_path, monkeypatch):
    """Ours begins with the teacher's decoder and heads; a run that goes on has learned since."""
    torch.manual_seed(5)
    save_weights(tmp_path / "teacher.safetensors", build(tiny).state_dict(), tiny, {})
    config = replace(
        config, scheme="inherit", teacher=str(tmp_path / "teacher.safetensors"), variants=1, checkpoint_every=2
    )
    whole = read_weights(train(config, tmp_path / "whole"))[0]
    with monkeypatch.context() as patch:
        step, taken = loop._step, []
        patch.setattr(loop, "_step", lambda *a: taken.append(0) or (step(*a) if len(taken) < 4 else _killed()))
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "parts")
    assert load_training(tmp_path / "parts" / "last.pt")["step"] == 2
    parts = read_weights(train(config, tmp_path / "parts", resume=True))[0]
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
    given = read_weights(tmp_path / "teacher.safetensors")[0]
    name = "decoder.down1.0.conv.weight"
    assert not torch.equal(whole[name], given[name]) and torch.allclose(whole[name], given[name], atol=0.1), "learned"


def test_the_log_forgets_steps_that_are_taken_again(tmp_path):
    log = Log(tmp_path, TrainConfig(), ALONE)
    for step in (50, 100, 150):
        log.write({"step": step, "total": 1.0})
    log.write({"step": 100, "miou": 3.0})
    log.write({"step": 100, "final": True})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 200, "tot')  # the kill
    log = Log(tmp_path, TrainConfig(), ALONE, step=100)
    log.write({"step": 150, "total": 0.5})
    log.close()
    told = [(row["step"], row.get("total", row.get("miou"))) for row in _rows(tmp_path)]
    assert told == [(50, 1.0), (100, 1.0), (100, 3.0), (150, 0.5)]
    Log(tmp_path, TrainConfig(), ALONE).close()  # a run from nothing
    assert _rows(tmp_path) == []


def test_the_first_speed_counts_the_steps_since_the_checkpoint(config, tmp_path, monkeypatch):
    train(replace(config, steps=38), tmp_path / "run")
    asked, report = [], loop.Timed.report
    monkeypatch.setattr(loop.Timed, "report", lambda timed, frames: asked.append(frames) or report(timed, frames))
    train(replace(config, steps=50), tmp_path / "run", resume=True)
    assert asked == [12]


@pytest.mark.parametrize(
    ("change", "sides"),
    [
        ({"scheme_settings": {"weight": 2.0}}, r"scheme feature \(.*weight=1.0.*\), this run has .*weight=2.0"),
        ({"scheme": "attention"}, r"scheme feature \(.*\), this run has scheme attention"),
        ({"scheme": "", "teacher": ""}, r"scheme feature \(.*\), this run has no scheme; start afresh"),
    ],
)
def test_another_way_of_teaching_cannot_be_resumed(config, change, sides, tmp_path):
    teacher = train(replace(config, steps=1), tmp_path / "teacher")
    taught = replace(config, scheme="feature", teacher=str(teacher), steps=1)
    train(taught, tmp_path / "run")
    with pytest.raises(ValueError, match=f"last.pt was trained with {sides}"):
        train(replace(taught, **change), tmp_path / "run", resume=True)
    train(replace(taught, scheme_settings={"weight": 1.0}, steps=2), tmp_path / "run", resume=True)  # the default


CHANGES = {
    "seed": 1, "batch": 2, "learning_rate": 1e-4, "mirror": False, "ema": 0.5, "variants": 2, "optimizer": "adamw",
    "validation": "elsewhere", "warmup": 0, "camera": "other.safetensors",
}  # fmt: skip


@pytest.mark.parametrize("name", [*CHANGES, "weights.point"])
def test_other_settings_are_another_run_and_the_record_stays(config, name, tmp_path, monkeypatch):
    given = replace(config, steps=1)
    train(given, tmp_path / "run")
    record = (tmp_path / "run" / "config.json").read_text()
    top, _, inner = name.partition(".")
    old = getattr(given, top)[inner] if inner else getattr(given, top)
    new = 5.0 if inner else CHANGES[name]
    changed = replace(given, **{top: {**given.weights, inner: new} if inner else new}, steps=2)
    monkeypatch.setattr(loop, "_initial", lambda config: build(config.model))  # the camera's file is not there
    with pytest.raises(ValueError, match=re.escape(f"last.pt was trained with {name} = {old!r}, now {new!r} is asked")):
        train(changed, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "config.json").read_text() == record


def test_how_long_and_how_it_is_told_may_change_on_the_way(config, tmp_path, monkeypatch):
    train(replace(config, steps=1), tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    free = {"steps": 2, "workers": 1, "checkpoint_every": 1, "validate_every": 1, "precision": "auto"}
    train(replace(config, **free, data="data", validation="data"), tmp_path / "run", resume=True)  # the same folder
    assert load_training(tmp_path / "run" / "last.pt")["step"] == 2
    train(replace(config, minutes=1e-6), tmp_path / "run", resume=True)
    assert load_training(tmp_path / "run" / "last.pt")["step"] == 2


def test_a_folder_of_runs_may_have_been_moved(config, tmp_path):
    """What a run began with is in its checkpoint, and the bench keeps it beside the runs."""
    first = train(replace(config, steps=1), tmp_path / "here" / "runs" / "first")
    begun = replace(config, steps=1, camera=str(first))
    train(begun, tmp_path / "here" / "runs" / "next")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = replace(begun, steps=2, camera=str(first).replace("here", "there"))
    assert train(moved, tmp_path / "there" / "runs" / "next", resume=True).is_file()


def test_the_command_says_so_before_it_renders(config, tmp_path, capsys):
    train(replace(config, steps=1), tmp_path / "run")
    given = [f"data={tmp_path}/other", "batch=1", "workers=0", "precision=fp32", "--worlds", "1", "--frames", "1"]
    assert cli.main(["train", *given, "--resume", "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert f"data = '{config.data}', now '{tmp_path}/other'" in told and "or choose another --out" in told
    assert not (tmp_path / "other").exists()


def test_a_refinement_goes_on_with_its_own_settings(config, tmp_path):
    refined = replace(config, model=replace(config.model, refinement_layers=1, refinement_width=32), steps=1)
    refine.pretrain(refined, tmp_path / "run")
    with pytest.raises(ValueError, match=r"trained with seed = 0, now 1; learning_rate = 0.002, now 0.001 is"):
        refine.pretrain(replace(refined, seed=1, learning_rate=1e-3), tmp_path / "run", resume=True)
    refine.pretrain(replace(refined, steps=2), tmp_path / "run", resume=True)


def test_a_refinement_and_a_network_do_not_go_on_as_each_other(config, tmp_path):
    refined = replace(config, model=replace(config.model, refinement_layers=1, refinement_width=32), steps=1)
    train(refined, tmp_path / "network")
    refine.pretrain(refined, tmp_path / "refinement")
    with pytest.raises(ValueError, match="is of a refinement and no whole network: add --refinement"):
        train(refined, tmp_path / "refinement", resume=True)
    with pytest.raises(ValueError, match="is of a whole network and no refinement: leave --refinement out"):
        refine.pretrain(refined, tmp_path / "network", resume=True)


def test_layers_are_validated_with_the_buffers_of_the_first_process(config, make_sample, monkeypatch):
    """As networks of lines are; the first process is told here by a group that says zero of everything."""
    asked = []

    class Told(Group):
        def first_says(self, values):
            asked.append(values)
            return values.zero_()

    lines = build(config.model)
    validate(lines, config, group=Told(0, 1, torch.device("cpu")))
    assert len(asked) == len(list(lines.buffers())) > 10
    layers = replace(config.model, classes=("drivable_area", "divider"))
    network = build(layers)
    with pytest.raises(ValueError, match="learns from samples that know them"):  # these frames have no layers
        validate(network, replace(config, model=layers), group=Told(0, 1, torch.device("cpu")))
    assert all(not buffer.any() for buffer in network.buffers())
    assert not network.training


def test_checkpoints_keep_the_random_numbers(config, tmp_path):
    train(replace(config, steps=1), tmp_path / "run")
    state = load_training(tmp_path / "run" / "last.pt")
    torch.set_rng_state(state["random"])
    wanted = torch.rand(3)
    run = run_state.RunState(loop._initial(config), config, ALONE)
    torch.manual_seed(5)
    run.restore(tmp_path / "run" / "last.pt")
    assert torch.equal(torch.rand(3), wanted)
