# SPDX-License-Identifier: Apache-2.0
"""Two processes that train one student: the single process's gradients, the same frames, one validation."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.data.samples import write
from mapkd_core.models.build import build
from mapkd_core.over_ranks import SharedNorm
from mapkd_core.training import loop, parallel
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.parallel import ALONE, Group
from mapkd_core.training.run_state import average_into

ROOT = Path(__file__).resolve().parents[3]

MATCHED = ("class", "point", "edge", "inherit_head")  # which query is whose turns on what is rounded
# What a process finds: its validation, its frames, and losses and gradients of the batches of an epoch, first with
# batch norms as they are and then with batch norms over the batch. No step is taken between.
FINDINGS = """
import json, sys
from pathlib import Path
import torch
from torch import nn
from mapkd_core.config import TrainConfig, from_dict
from mapkd_core.models.build import build
from mapkd_core.training import loop, parallel
from mapkd_core.training.run_state import RunState
from mapkd_core.training.validate import validate

def findings(config, group):
    torch.manual_seed(config.seed)
    model = build(config.model)
    for layer in model.query.layers:
        # Polylines that begin as a point are as far from a line told forth as told back, and rounding decides.
        nn.init.normal_(layer.move[-1].bias)
    run = RunState(model, config, group)
    found = {"scores": validate(run.average, config, group=group), "steps": []}
    for is_training in (False, True):
        run.learning.train()
        for layer in run.learning.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and not is_training:
                layer.eval()
        for batch, _ in zip(loop._batches(config, 0, run.learning.modalities, group), range(2)):
            run.learning.zero_grad(set_to_none=True)
            total, losses = run.stepping(batch)
            total.backward()
            gradients = {n: p.grad.clone() for n, p in run.learning.named_parameters() if p.grad is not None}
            told = {n: value.detach() for n, value in losses.items()}
            found["steps"].append({"rows": batch.rows, "losses": told, "gradients": gradients})
    return found
"""
PROCESS = """
torch.set_num_threads(1)
config = from_dict(TrainConfig, json.loads(Path(sys.argv[1]).read_text()))
with parallel.group() as group:
    torch.save(findings(config, group), f"{sys.argv[1]}.{group.rank}")
"""


@pytest.fixture
def config(tmp_path, tiny, make_sample) -> TrainConfig:
    write(tmp_path / "data", "a", [make_sample(s) for s in (0.0, 0.6, -0.4, 0.3)])
    return TrainConfig(tiny, str(tmp_path / "data"), str(tmp_path / "data"), batch=2, precision="fp32", workers=0)


@pytest.fixture
def uneven(config, tmp_path, make_sample) -> TrainConfig:
    """Of the two frames of a batch one shows three lines and the other none, or one; each process gets one of them."""
    samples = [make_sample(shift) for shift in (0.0, 0.6, -0.4, 0.3)]
    order = torch.randperm(4, generator=torch.Generator().manual_seed(config.seed * 1009)).tolist()
    for place, count in zip(order, (3, 0, 1, 3), strict=True):
        samples[place] = replace(samples[place], elements=samples[place].elements[:count])
    write(tmp_path / "uneven", "a", samples)
    return replace(config, data=str(tmp_path / "uneven"))


def _together(config: TrainConfig, told: Path) -> list[dict]:
    """What two processes find."""
    script = told.with_suffix(".py")
    told.write_text(json.dumps(to_dict(config)))
    script.write_text(FINDINGS + PROCESS)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, str(told)], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[:4000]
    return [torch.load(f"{told}.{rank}", weights_only=True) for rank in (0, 1)]


def _alone(config: TrainConfig) -> dict:
    known: dict = {}
    exec(FINDINGS, known)
    return known["findings"](config, ALONE)


@pytest.mark.parametrize("scheme", ["", "mapkd", "bridgeta", "inherit", "foreground"])
def test_two_processes_get_the_losses_and_gradients_of_one(uneven, tmp_path, tiny, scheme):
    config = uneven
    if scheme:
        teacher, wide = tmp_path / "teacher.safetensors", replace(tiny, bev_width=12)
        save_weights(teacher, build(wide).state_dict(), wide, {})
        settings = {"inherit": "nothing"} if scheme == "inherit" else {}
        config = replace(config, scheme=scheme, scheme_settings=settings, teacher=str(teacher))
    (first, second), whole = _together(config, tmp_path / "config.json"), _alone(config)
    assert first["scores"] == second["scores"] == whole["scores"]
    steps = list(zip(first["steps"], second["steps"], whole["steps"], strict=True))
    for one, other, both in steps:
        assert [*one["rows"].tolist(), *other["rows"].tolist()] == both["rows"].tolist()
        assert one["gradients"].keys() == other["gradients"].keys() == both["gradients"].keys()
        assert all(torch.equal(g, other["gradients"][n]) for n, g in one["gradients"].items())
    assert steps[0][1]["losses"]["point"] == 0 < steps[0][0]["losses"]["point"], "the second has no line in its frame"
    for is_training, (one, other, both) in zip((False, False, True, True), steps, strict=True):
        # Batch norms over two frames multiply by thousands what is rounded.
        tolerance = 2e-3 if is_training else 1e-5
        for name, value in both["losses"].items():
            if is_training and name in MATCHED:
                continue
            mean = (one["losses"][name] + other["losses"][name]) / 2
            torch.testing.assert_close(mean, value, rtol=tolerance, atol=0.0, msg=lambda text, n=name: f"{n}: {text}")
        if not is_training:
            errors = {n: (one["gradients"][n] - g).norm() for n, g in both["gradients"].items()}
            lengths = {n: g.norm() for n, g in both["gradients"].items()}
            assert _length(errors) <= 1e-5 * _length(lengths)
            # Of the first layers it is small and carries what all others rounded.
            assert not [(n, e, lengths[n]) for n, e in errors.items() if e > 1e-4 * lengths[n]]


def _length(parts: dict[str, torch.Tensor]) -> float:
    return float(torch.stack(list(parts.values())).norm())


def test_a_batch_that_cannot_be_shared_is_refused(config):
    with pytest.raises(ValueError, match="batch = 3 frames cannot be shared by 2 processes"):
        next(loop._batches(replace(config, batch=3), 0, group=Group(1, 2, torch.device("cpu"))))


def test_too_few_frames_for_a_batch_are_refused(config):
    with pytest.raises(ValueError, match="has 4 frames, too few for one batch of 6"):
        next(loop._batches(replace(config, batch=6), 0, group=Group(0, 2, torch.device("cpu"))))


CUDA = torch.device("cuda", 0)  # a name alone: nothing is computed there


def _norms(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def test_batch_norms_are_synchronised(tiny):
    """The construction, which needs no GPU; what they compute over NCCL is not tested anywhere."""
    model = build(replace(tiny, modalities=("camera", "lidar"), lidar_width=8))
    plain, names, count = model.state_dict(), list(model.state_dict()), len(_norms(model))
    assert Group(0, 1, CUDA).norms(model) is model and type(model.lidar.norm) is nn.BatchNorm1d
    for device, kind in ((CUDA, nn.SyncBatchNorm), (torch.device("cpu"), SharedNorm)):
        synchronised = Group(1, 2, device).norms(copy.deepcopy(model))
        layers = _norms(synchronised)
        assert len(layers) == count > 10 and all(isinstance(layer, kind) for layer in layers)
        assert isinstance(synchronised.lidar.norm, kind)  # of one dimension, as a pillar's points
        assert list(synchronised.state_dict()) == names  # so that checkpoints and the average go on fitting
        assert all(torch.equal(value, plain[name]) for name, value in synchronised.state_dict().items())


def test_the_others_wait_as_long_as_the_first_computes_answers(monkeypatch):
    asked = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(distributed, "init_process_group", lambda *_, timeout: asked.append(timeout))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    with parallel.group() as group:
        assert (group.rank, group.size) == (1, 2)
    assert asked[0] > timedelta(hours=6)


def test_the_average_follows_a_network_with_synchronised_norms(tiny):
    """It is a copy from before, with plain norms, and is what is saved and validated."""
    average = build(tiny).eval()
    model = Group(0, 2, CUDA).norms(copy.deepcopy(average))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(2)
    wanted = {name: value / 2 + average.state_dict()[name] / 2 for name, value in model.state_dict().items()}
    average_into(average, model, 0.5)
    for name, value in average.state_dict().items():
        counted = name.endswith("num_batches_tracked")
        torch.testing.assert_close(value, model.state_dict()[name] if counted else wanted[name])
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in average.modules())
