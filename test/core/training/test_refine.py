# SPDX-License-Identifier: Apache-2.0
"""Pretraining of a refinement as a run: the seed decides it, a kill costs no step, other settings are another run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.data.samples import write
from mapkd_core.training import refine, refine_state, stages
from mapkd_core.training.checkpoint import load_training, read_weights

ROOT = Path(__file__).resolve().parents[3]
# A process of torchrun's: three networks in stages, the first by one process alone.
PROCESS = """
import json, sys, torch
from dataclasses import replace
from pathlib import Path
from mapkd_core.config import TrainConfig, from_dict
from mapkd_core.training import stages
torch.set_num_threads(1)
config = from_dict(TrainConfig, json.loads(Path(sys.argv[1]).read_text()))
teacher = replace(config, steps=1)
student = replace(teacher, model=replace(config.model, refinement_layers=0), scheme="feature")
done = stages.run({"refinement": config, "teacher": teacher, "student": student}, Path(sys.argv[2]))
assert all(path.is_file() for path in done.values()), done
"""


@pytest.fixture
def config(tmp_path, tiny, make_sample) -> TrainConfig:
    write(tmp_path / "data", "a", [make_sample(shift) for shift in (0.0, 0.2, 0.4, 0.6)])
    model = replace(tiny, refinement_layers=1, refinement_width=32)
    data = str(tmp_path / "data")
    return TrainConfig(
        model, data, data, batch=2, steps=6, warmup=2, precision="fp32", workers=0, checkpoint_every=2, turn=0.0,
        shift=0.0,
    )  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    first, second = read_weights(one)[0], read_weights(other)[0]
    return first.keys() == second.keys() and all(torch.equal(second[name], value) for name, value in first.items())


def _killed_after(steps: int, monkeypatch):
    save = refine_state.save_training

    def saving(path, state):
        save(path, state)
        if state["step"] == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(refine_state, "save_training", saving)


@pytest.mark.parametrize("steps", [4, 6])
def test_a_killed_run_goes_on_as_the_uninterrupted_one(config, steps, tmp_path, monkeypatch):
    """Bit for bit; also where it was killed after its last step, before the weights were written."""
    whole = refine.pretrain(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        _killed_after(steps, patch)
        with pytest.raises(KeyboardInterrupt):
            refine.pretrain(config, tmp_path / "parts")
    assert load_training(tmp_path / "parts" / "last.pt")["step"] == steps
    torch.manual_seed(99)  # another process
    assert _same(whole, refine.pretrain(config, tmp_path / "parts", resume=True))


def test_the_seed_decides_the_weights(config, tmp_path):
    one = refine.pretrain(config, tmp_path / "one")
    torch.manual_seed(99)
    assert _same(one, refine.pretrain(config, tmp_path / "two"))
    assert not _same(one, refine.pretrain(replace(config, seed=1), tmp_path / "three"))
    assert json.loads((tmp_path / "one" / "config.json").read_text()) == to_dict(config)


def test_a_loss_that_is_not_finite_names_the_frames(config, tmp_path, monkeypatch):
    monkeypatch.setattr(refine, "hide", lambda labels, *_: (torch.full((2, 4, *labels.shape[1:]), torch.nan), None))
    with pytest.raises(
        FloatingPointError, match=r"loss is not finite: {'total': nan} on the frames .*data/a-\d, .*data/a-\d; low"
    ):
        refine.pretrain(config, tmp_path / "run")
    assert not (tmp_path / "run" / refine.FILE).exists() and not (tmp_path / "run" / "last.pt").exists()


def test_another_network_is_not_gone_on_with(config, tmp_path):
    refine.pretrain(config, tmp_path / "run")
    other = replace(config, model=replace(config.model, refinement_layers=2))
    with pytest.raises(ValueError, match=r"last.pt and the network differ in refinement_layers: 1 and 2"):
        refine.pretrain(other, tmp_path / "run", resume=True)


def test_as_a_stage_it_goes_on_and_refuses_other_settings(config, tmp_path, monkeypatch):
    whole = refine.pretrain(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        _killed_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            stages.run({"refinement": config}, tmp_path / "run")
    with pytest.raises(ValueError, match=r"run/refinement was trained with other settings \(learning_rate\)"):
        stages.run({"refinement": replace(config, learning_rate=1e-3)}, tmp_path / "run")
    done = stages.run({"refinement": config}, tmp_path / "run")
    assert _same(whole, done["refinement"])
    (tmp_path / "run" / "refinement" / "config.json").unlink()  # as of older versions: the card tells
    with pytest.raises(ValueError, match=r"run/refinement was trained with other settings \(learning_rate\)"):
        stages.run({"refinement": replace(config, learning_rate=1e-3)}, tmp_path / "run")
    assert stages.run({"refinement": config}, tmp_path / "run") == done


def test_under_torchrun_one_process_pretrains_and_all_train_the_next_stages(config, tmp_path):
    told, script = tmp_path / "config.json", tmp_path / "process.py"
    told.write_text(json.dumps(to_dict(config)))
    script.write_text(PROCESS)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, str(told), str(tmp_path / "two")], env=environment, capture_output=True, text=True,
                          timeout=240, start_new_session=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert _same(refine.pretrain(config, tmp_path / "one"), tmp_path / "two" / "refinement" / refine.FILE)
    steps = [json.loads(line)["step"] for line in (tmp_path / "two" / "student" / "log.jsonl").read_text().splitlines()]
    assert steps == [1]
