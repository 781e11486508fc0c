# SPDX-License-Identifier: Apache-2.0
"""Muon: its steps are orthogonal, AdamW's part is torch's own, and every parameter is in one group."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mapkd_core.models.build import build
from mapkd_core.training.muon import BETAS, Muon, orthogonalise, parameter_groups


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 32)])
def test_orthogonal_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    other = torch.randn(16, 40)  # of the same Gram size as two of the three: they share a batch
    _, found = orthogonalise([other, matrix])
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3 and values.max() < 1.3
    assert nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_a_step_of_a_matrix_has_the_same_size_whatever_the_gradient():
    for scale in (1e-3, 1e3):
        weight = nn.Parameter(torch.zeros(8, 32))
        optimizer = Muon([{"params": [weight], "orthogonal": True}], 0.1)
        weight.grad = scale * torch.randn(8, 32)
        optimizer.step()
        # An orthogonal 8 x 32 matrix has RMS 1/sqrt(32); times 0.2 sqrt(32) times the learning rate.
        assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.02, rel=0.2)


def test_the_other_parameters_follow_adamw():
    torch.manual_seed(0)
    ours = nn.Linear(5, 3)
    theirs = copy.deepcopy(ours)
    one = Muon([{"params": list(ours.parameters()), "weight_decay": 0.1}], 0.01)
    other = torch.optim.AdamW(theirs.parameters(), 0.01, betas=BETAS, weight_decay=0.1)
    for _ in range(4):
        x = torch.randn(7, 5)
        for network, optimizer in ((ours, one), (theirs, other)):
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_every_parameter_of_the_student_is_in_one_group(tiny):
    model = build(tiny)
    groups = parameter_groups(model, 0.02)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters())
    assert all(p.ndim >= 2 and p.shape[1] > 1 for p in groups[0]["params"])
    assert all(p.ndim < 2 for p in groups[2]["params"])
