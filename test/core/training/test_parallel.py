# SPDX-License-Identifier: Apache-2.0
"""Two processes that train one student: the single process's gradients, the same frames, one validation."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mapkd_core.config import TrainConfig
from mapkd_core.data.samples import write
from mapkd_core.models.build import build
from mapkd_core.training import loop
from mapkd_core.training.parallel import ALONE, Group
from mapkd_core.training.run_state import RunState, average_into
from mapkd_core.training.validate import validate

ROOT = Path(__file__).resolve().parents[3]

# A process of torchrun's: gradients of its first step, which frames it saw, and the validation, into a file.
PROCESS = """
import sys, torch
from pathlib import Path
from mapkd_core.config import TrainConfig, from_dict
from mapkd_core.training import loop, parallel
from mapkd_core.training.run_state import RunState
from mapkd_core.training.validate import validate
import json
torch.set_num_threads(1)
config = from_dict(TrainConfig, json.loads(Path(sys.argv[1]).read_text()))
with parallel.group() as group:
    torch.manual_seed(config.seed)
    run = RunState(loop._initial(config), config, group)
    scores = validate(run.average, config, group=group)
    batch = next(loop._batches(config, 0, group=group))
    run.learning.train()
    total, _ = run.stepping(batch)
    total.backward()
    found = {n: p.grad for n, p in run.learning.named_parameters() if p.grad is not None}
    torch.save({"gradients": found, "rows": batch.rows, "scores": scores}, f"{sys.argv[1]}.{group.rank}")
"""


@pytest.fixture
def config(tmp_path, tiny, make_sample) -> TrainConfig:
    write(tmp_path / "data", "a", [make_sample(s) for s in (0.0, 0.6, -0.4, 0.3)])
    return TrainConfig(tiny, str(tmp_path / "data"), str(tmp_path / "data"), batch=2, precision="fp32", workers=0)


def test_two_processes_get_the_gradients_of_one(config, tmp_path):
    """The mean over the shares of a batch, which is what one process gets that takes them one after the other."""
    import json

    from mapkd_core.config import to_dict

    told, script = tmp_path / "config.json", tmp_path / "process.py"
    told.write_text(json.dumps(to_dict(config)))
    script.write_text(PROCESS)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, str(told)], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(f"{told}.{rank}", weights_only=True) for rank in (0, 1))
    torch.manual_seed(config.seed)
    run = RunState(loop._initial(config), config, ALONE)
    assert first["scores"] == second["scores"] == validate(run.average, config)
    whole = next(loop._batches(config, 0))
    assert sorted([*first["rows"].tolist(), *second["rows"].tolist()]) == sorted(whole.rows.tolist())
    run.learning.train()
    for rank in (0, 1):
        batch = next(loop._batches(config, 0, group=Group(rank, 2, torch.device("cpu"))))
        (run.learning(batch)[0] / 2).backward()
    wanted = {n: p.grad for n, p in run.learning.named_parameters() if p.grad is not None}
    assert first["gradients"].keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(first["gradients"][name], gradient, rtol=1e-4, atol=1e-6)
        assert torch.equal(first["gradients"][name], second["gradients"][name]), name


def test_a_batch_that_cannot_be_shared_is_refused(config):
    with pytest.raises(ValueError, match="batch = 3 frames cannot be shared by 2 processes"):
        next(loop._batches(replace(config, batch=3), 0, group=Group(1, 2, torch.device("cpu"))))


def test_too_few_frames_for_a_batch_are_refused(config):
    with pytest.raises(ValueError, match="has 4 frames, too few for one batch of 6"):
        next(loop._batches(replace(config, batch=6), 0, group=Group(0, 2, torch.device("cpu"))))


CUDA = torch.device("cuda", 0)  # a name alone: nothing is computed there


def _norms(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def test_batch_norms_are_synchronised_on_several_gpus_and_nowhere_else(tiny):
    """The construction, which needs no GPU; what they compute over NCCL is not tested anywhere."""
    model = build(replace(tiny, modalities=("camera", "lidar"), lidar_width=8))
    plain, names, count = model.state_dict(), list(model.state_dict()), len(_norms(model))
    assert Group(0, 1, CUDA).norms(model) is model and Group(1, 2, torch.device("cpu")).norms(model) is model
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in _norms(model))
    synchronised = Group(1, 2, CUDA).norms(copy.deepcopy(model))
    layers = _norms(synchronised)
    assert len(layers) == count > 10 and all(isinstance(layer, nn.SyncBatchNorm) for layer in layers)
    assert isinstance(synchronised.lidar.norm, nn.SyncBatchNorm)  # of one dimension, as a pillar's points
    assert list(synchronised.state_dict()) == names  # so that checkpoints and the average go on fitting
    assert all(torch.equal(value, plain[name]) for name, value in synchronised.state_dict().items())


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
