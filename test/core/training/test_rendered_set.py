# SPDX-License-Identifier: Apache-2.0
"""Worlds that `mapkd train` renders for itself: whole, of one process, and never where nobody asked for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mapkd_core import cli
from mapkd_core.config import to_dict
from mapkd_core.data import rendered_set
from mapkd_core.data.samples import SampleFolder, write

ROOT = Path(__file__).resolve().parents[3]
FEW = ["--worlds", "2", "--frames", "1", "--out", "run"]
# A process of torchrun's, which notes that it renders; its world is one that is there already.
PROCESS = """
import os, shutil, sys, time
from pathlib import Path
import torch
from mapkd_core import cli
from mapkd_core.data import rendered_set
def copied(folder, *given):
    Path(f"{folder.name}.{os.environ['RANK']}").touch()
    time.sleep(2)  # long enough for the other one to come by
    shutil.copytree("world", folder, dirs_exist_ok=True)
torch.set_num_threads(1)
rendered_set.generate = copied
sys.exit(cli.main(["train", *sys.argv[1:]]))
"""


@pytest.fixture
def small(tiny, tmp_path, monkeypatch) -> list[str]:
    """Settings of one step of the tiny student, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return [f"model={json.dumps(to_dict(tiny))}", "steps=1", "batch=2", "workers=0", "precision=fp32", "warmup=1"]


@pytest.fixture
def asked(make_sample, monkeypatch) -> list[tuple[str, int, int]]:
    """What is to be rendered: folder, worlds, frames. Worlds are painted here, which is quicker; those that are there
    are kept, as `generate` does."""
    told: list[tuple[str, int, int]] = []

    def painted(out, worlds, frames, first_seed, model):
        told.append((out.name, worlds, frames))
        for name in (f"{first_seed + i:08d}" for i in range(worlds)):
            if not (out / f"{name}.truth.npz").is_file():
                write(out, name, [make_sample()] * frames)

    monkeypatch.setattr(rendered_set, "VALIDATION_FRAMES", 1)
    monkeypatch.setattr(rendered_set, "generate", painted)
    return told


def _stopped(monkeypatch) -> None:
    """As Ctrl-C after the first world."""
    generate = rendered_set.generate

    def stopped(folder, worlds, *given):
        generate(folder, 1, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(rendered_set, "generate", stopped)


def test_a_rendering_that_was_stopped_is_finished(small, asked, monkeypatch):
    with monkeypatch.context() as patch:
        _stopped(patch)
        assert cli.main(["train", *small, *FEW]) != 0
    assert len(SampleFolder("out/data/train").names) == 1 and not Path("run").exists()
    asked.clear()
    assert cli.main(["train", *small, "--out", "run"]) == 0
    assert asked == [("train", 2, 1), ("validation", 16, 1)]  # what was begun, and as many as there are by default
    assert len(SampleFolder("out/data/train").names) == 2
    assert not list(Path("out/data").rglob(rendered_set.UNFINISHED))
    asked.clear()
    assert cli.main(["train", *small, "--worlds", "9", "--out", "again"]) == 0
    assert asked == [], "what is there is taken as it is"


def test_a_rendering_is_not_finished_with_other_pictures(small, asked, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        _stopped(patch)
        cli.main(["train", *small, *FEW])
    assert cli.main(["train", *small, "model.image_width=128", *FEW]) == 1
    told = capsys.readouterr().err
    assert "out/data/train was begun for a network with" in told and "'image_width': 96" in told and "128" in told


@pytest.mark.parametrize("name", ["data", "validation"])
def test_a_path_that_is_not_there_is_refused_unless_worlds_are_asked_for(name, small, asked, capsys):
    given = ["data=there", "validation=there"]
    assert cli.main(["train", *small, *given, *FEW]) == 0
    asked.clear()
    given = [*given, f"{name}=out/tyop"]
    assert cli.main(["train", *small, *given, "--out", "again"]) == 1
    assert f"{name} = out/tyop is not there: correct it, " in capsys.readouterr().err
    assert asked == [] and not Path("out/tyop").exists()
    assert cli.main(["train", *small, *given, *FEW[:4], "--out", "again"]) == 0
    assert asked == [("tyop", *((2, 1) if name == "data" else (1, 1)))]


def test_a_yamls_folder_is_not_filled_with_other_worlds(small, asked, tmp_path, capsys):
    """Of roads-v1 for example, before it was made. Its stages are refused, too."""
    (tmp_path / "a.yaml").write_text("data: out/roads-v1/small/training\n")
    assert cli.main(["train", "a.yaml", *small, "--out", "run"]) == 1
    assert "data = out/roads-v1/small/training is not there" in capsys.readouterr().err
    assert cli.main(["train", "--stages", "student", "a.yaml", *small, "--out", "staged"]) == 1
    assert "data = out/roads-v1/small/training is not there" in capsys.readouterr().err
    assert asked == [] and not Path("out").exists()


def test_under_torchrun_one_process_renders_and_the_others_wait(small, make_sample, tmp_path):
    (tmp_path / "process.py").write_text(PROCESS)
    write(tmp_path / "world", "a", [make_sample(), make_sample()])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "process.py"]
    given = [*small, "validation=out/data/train", "--worlds", "1", "--frames", "2", "--out", "run"]
    done = subprocess.run([*command, *given], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.name for path in tmp_path.glob("train.*")) == ["train.0"]
    assert len(SampleFolder(tmp_path / "out/data/train")) == 2
    assert len(list((tmp_path / "run").rglob("student.safetensors"))) == 1
