# SPDX-License-Identifier: Apache-2.0
"""The network rewritten for speed answers as the one it was made from, with fewer operations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mapkd_core.bench.cost import operations
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.models.build import build, plan
from mapkd_core.models.deployed import Deployed, can_deploy, folded
from mapkd_core.models.map_model import MapModel
from mapkd_core.worlds.rig import nuscenes_rig


def inputs(config: ModelConfig, cameras: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rig = [model_camera(camera, config) for camera in nuscenes_rig()[:cameras]]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    table = plan(config, K, poses, np.ones(cameras, bool))
    size = (1, cameras, 3, config.image_height, config.image_width)
    return torch.randint(0, 256, size, dtype=torch.uint8), torch.from_numpy(table)[None]


def trained(config: ModelConfig) -> MapModel:
    """A network whose batch norms have seen something: fresh ones are the identity and would hide a wrong fold."""
    model = build(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.6, 1.4)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return model


@pytest.mark.parametrize("change", [{}, {"detail_width": 0}, {"heights": (0.3,)}])
@pytest.mark.parametrize("cameras", [1, 6])
@torch.inference_mode()
def test_answers_are_those_of_the_model(tiny, change, cameras):
    model = trained(replace(tiny, **change))
    images, table = inputs(model.config, cameras)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected, found = model(images, table), Deployed(model)(images, table)
    scores, points = expected.queries[-1]
    torch.testing.assert_close(found[0], expected.semantic.softmax(1)[:, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], scores, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[2], points, atol=1e-5, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "unchanged"


def test_it_costs_less():
    model = build(ModelConfig())
    images, table = inputs(model.config)
    assert operations(Deployed(model), images, table) < 0.97 * operations(model, images, table)


def test_no_batch_norm_is_left(tiny):
    assert not [m for m in Deployed(build(tiny)).modules() if isinstance(m, nn.BatchNorm2d)]


def test_a_fold_by_hand():
    """y = (2 x - 1) / 2 * 3 + 4 with variance 4 - eps and mean 1."""
    pair = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)).eval()
    with torch.no_grad():
        pair[0].weight.fill_(2.0)
        pair[1].running_mean.fill_(1.0)
        pair[1].running_var.fill_(4.0)
        pair[1].weight.fill_(3.0)
        pair[1].bias.fill_(4.0)
    (conv, rest) = folded(pair)
    assert conv.weight.item() == 3.0 and conv.bias.item() == 2.5 and isinstance(rest, nn.Identity)


@pytest.mark.parametrize(
    "change",
    [{"view": "lift_splat"}, {"heights": (0.0, 1.0)}, {"modalities": ("camera", "sd")}, {"refinement_layers": 1}],
)
def test_other_networks_are_refused(tiny, change):
    model = build(replace(tiny, **change))
    assert not can_deploy(model)
    with pytest.raises(ValueError, match="only a network of cameras"):
        Deployed(model)
