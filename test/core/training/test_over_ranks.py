# SPDX-License-Identifier: Apache-2.0
"""Sums and batch norms over two processes whose shares differ, one being empty; by hand and against one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mapkd_core import over_ranks
from mapkd_core.distillation.losses import masked_mean
from mapkd_core.over_ranks import SharedNorm

ROOT = Path(__file__).resolve().parents[3]

# Rank 0 has five points and rank 1 none. What rank 0 does without gradients, it does alone.
PROCESS = """
import sys, torch
from torch import distributed
from mapkd_core.distillation.losses import masked_mean
from mapkd_core import over_ranks
distributed.init_process_group("gloo")
rank = distributed.get_rank()
norm = torch.nn.BatchNorm1d(3)
norm.__class__ = over_ranks.SharedNorm
points = torch.arange(15.0).view(5, 3).sin()[: 5 if rank == 0 else 0].requires_grad_()
normed = norm(points)
(normed ** 3).sum().backward()
found = {n: t.clone() for n, t in norm.state_dict().items()}
found |= {"normed": normed.detach(), "gradient": points.grad, "of_weight": norm.weight.grad}
before = {n: t.clone() for n, t in norm.state_dict().items() if "running" in n}
norm.weight.grad = None
norm(points[:0]).sum().backward()
found["remembered"] = torch.stack([t - before[n] for n, t in norm.state_dict().items() if n in before])
found["of_empty"] = norm.weight.grad
ones = torch.ones(2, requires_grad=True)
whole = over_ranks.total(ones * (rank + 1))
(whole[0] * whole[1]).backward()
found |= {"total": whole.detach(), "of_total": ones.grad, "divisor": over_ranks.divisor(torch.tensor(4 * rank))}
found["mean"] = over_ranks.mean(torch.tensor(0.5 * rank))
found["of_nothing"] = over_ranks.divisor(torch.tensor(0))
values, mask = torch.full((1, 2, 2, 2), 3.0 + rank), torch.tensor([[[rank == 0, True], [True, False]]])
found["masked"] = masked_mean(values, mask)
if rank == 0:
    with torch.no_grad():
        found["alone"] = masked_mean(values, mask)
torch.save(found, f"{sys.argv[1]}.{rank}")
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    """What both processes found."""
    script = tmp_path_factory.mktemp("ranks") / "process.py"
    script.write_text(PROCESS)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, str(script)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[:4000]
    return [torch.load(f"{script}.{rank}", weights_only=True) for rank in (0, 1)]


def test_the_mean_of_gradients_is_that_of_the_product_of_sums(ranks):
    """S = 1 + 2 twice; d (S S) / d ones is S times 1 of the one and 2 of the other."""
    assert all(found["total"].tolist() == [3.0, 3.0] for found in ranks)
    assert sum(found["of_total"] for found in ranks).tolist() == [2 * 9.0, 2 * 9.0]


def test_sums_are_divided_by_half_of_what_two_processes_count(ranks):
    assert [found["divisor"].item() for found in ranks] == [2.0, 2.0]
    assert [found["mean"].item() for found in ranks] == [0.25, 0.25]
    assert [found["of_nothing"].item() for found in ranks] == [0.5, 0.5]


def test_the_mean_of_masked_means_is_that_over_all_cells(ranks):
    """Three cells of 3 and two of 4; without gradients, the first process's own three."""
    assert float(sum(found["masked"] for found in ranks)) / 2 == pytest.approx((3 * 3 + 2 * 4) / 5)
    assert ranks[0]["alone"] == 3.0


def test_shared_norm_is_the_batch_norm_of_all_points(ranks):
    norm, points = nn.BatchNorm1d(3), torch.arange(15.0).view(5, 3).sin().requires_grad_()
    normed = norm(points)
    (normed**3).sum().backward()
    torch.testing.assert_close(ranks[0]["normed"], normed)
    torch.testing.assert_close(ranks[0]["gradient"], points.grad)
    torch.testing.assert_close(ranks[0]["of_weight"] + ranks[1]["of_weight"], norm.weight.grad)
    assert ranks[1]["normed"].shape == (0, 3)
    for name, value in norm.state_dict().items():
        for found in ranks:
            torch.testing.assert_close(found[name], value)


def test_alone_nothing_changes():
    norm, shared, x = nn.BatchNorm2d(3), nn.BatchNorm2d(3), torch.randn(2, 3, 4, 5)
    shared.__class__ = SharedNorm
    assert torch.equal(norm(x), shared(x)) and torch.equal(norm.running_var, shared.running_var)
    assert over_ranks.total(x) is x is over_ranks.mean(x)
    assert over_ranks.divisor(torch.tensor([0, 3])).tolist() == [1, 3]
    assert masked_mean(x, torch.ones(2, 4, 5, dtype=torch.bool)).item() == pytest.approx(x.mean().item(), abs=1e-6)


def test_shares_that_are_all_empty_change_nothing(ranks):
    """As of LiDAR points that every frame of a step has lost."""
    for found in ranks:
        assert not found["remembered"].any() and not found["of_empty"].any()
        assert torch.isfinite(found["running_var"]).all()
