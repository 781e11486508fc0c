# SPDX-License-Identifier: Apache-2.0
"""The yardstick has the published size, and the properties that the student gives up on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mapkd_core.bench.cost import hdmapnet_cost
from mapkd_core.config import ModelConfig
from mapkd_core.grid import BevGrid
from mapkd_core.models.efficientnet import EfficientNet
from mapkd_core.models.hdmapnet import HDMapNet

# The published count carries the checkpoint's classifier along, which takes no part: head 1x1, its norm, 1000 classes.
CLASSIFIER_M = (320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000) / 1e6


@pytest.fixture(scope="module")
def small():
    """Same structure on 64 x 96 pictures and 12 x 6 m."""
    torch.manual_seed(0)
    return HDMapNet(ModelConfig(64, 96, grid=BevGrid(-6.0, 6.0, -3.0, 3.0, 0.15))).eval()


def test_size_is_the_published_one():
    cost = hdmapnet_cost(ModelConfig())
    assert cost["gflop"] == pytest.approx(339, rel=0.03)
    assert cost["parameters_m"] == pytest.approx(78.28, rel=0.03)
    assert cost["parameters_m"] + CLASSIFIER_M == pytest.approx(78.28, abs=0.01)


def test_rasters_lie_on_the_canvas(small, make_sample):
    p = make_sample().prepared
    K, pose = (torch.from_numpy(m).float()[None] for m in (p.K, p.ego_T_camera))
    with torch.inference_mode():
        output = small(torch.from_numpy(p.images)[None], K, pose)
    assert output.semantic.shape == (1, 4, 40, 80)
    assert output.embedding.shape == (1, 16, 40, 80)
    assert output.direction.shape == (1, 37, 40, 80)
    assert torch.isfinite(output.semantic).all()


def test_it_has_no_weights_for_a_seventh_camera(small):
    with pytest.raises(ValueError, match=r"5 cameras.*exactly 6"):
        small(torch.zeros(1, 5, 3, 64, 96), torch.zeros(1, 5, 3, 3), torch.zeros(1, 5, 4, 4))


def test_warp_follows_the_mounting(small):
    """A bright spot 1.5 m ahead of a camera that looks left from (1, 0) lands at (1, 1.5)."""
    maps = torch.zeros(1, 1, 1, 8, 16)  # 6 x 12 m in cells of 0.75 m, the camera in the middle
    maps[..., 3:5, 9:11] = 1.0  # 0.75 to 2.25 m ahead, 0.75 m to either side
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # optical axis along +y
    pose[:3, 3] = torch.tensor([1.0, 0.0, 1.5])
    warped = small.view.warp(maps, pose[None, None])[0, 0, 0].numpy()
    centres = small.view.centres.numpy()
    centre = (centres * warped[..., None]).sum((0, 1)) / warped.sum()
    np.testing.assert_allclose(centre, (1.0, 1.5), atol=0.05)


def test_trunk_has_the_public_checkpoints_names_and_sizes(tmp_path):
    trunk = EfficientNet()
    state = trunk.state_dict()
    assert sum(p.numel() for p in trunk.parameters()) == 4_007_548 - 412_160  # B0 without classifier, less its 1x1 head
    assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert state["_blocks.1._expand_conv.weight"].shape == (96, 16, 1, 1)
    assert state["_blocks.5._depthwise_conv.weight"].shape == (240, 1, 3, 3)
    assert state["_blocks.15._se_reduce.bias"].shape == (48,)
    file = tmp_path / "b0.safetensors"
    save_file({name: torch.full_like(t, 0.5) for name, t in state.items()} | {"_fc.bias": torch.zeros(1000)}, file)
    trunk.load_pretrained(file)
    assert (trunk.state_dict()["_blocks.15._bn2.bias"] == 0.5).all()
    save_file({"_fc.bias": torch.zeros(1000)}, file)
    with pytest.raises(ValueError, match=r"lacks \d+ parameters of EfficientNet-B0"):
        trunk.load_pretrained(file)


def test_trunk_scales():
    with torch.inference_mode():
        sixteenth, thirtysecond = EfficientNet().eval()(torch.zeros(1, 3, 128, 352))
    assert sixteenth.shape == (1, 112, 8, 22) and thirtysecond.shape == (1, 320, 4, 11)


def test_it_learns(make_sample):
    """Gradients reach the trunk and the view of each camera."""
    network = HDMapNet(ModelConfig(64, 96, grid=BevGrid(-6.0, 6.0, -3.0, 3.0, 0.15))).train()
    p = make_sample().prepared
    inputs = [torch.from_numpy(m).float()[None] for m in (p.images, p.K, p.ego_T_camera)]
    output = network(*inputs)
    (output.semantic.square().mean() + output.embedding.mean() + output.direction.square().mean()).backward()
    reached = [network.camera.backbone._conv_stem, *(view[0] for view in network.view.views)]
    assert all(layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0 for layer in reached)
