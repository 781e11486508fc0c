# SPDX-License-Identifier: Apache-2.0
"""The backbone: scales, size and the public checkpoint's names."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from mapkd_core.models.camera import CameraEncoder
from mapkd_core.models.mobilenet import WIDTHS, MobileNet


def test_features_at_four_scales():
    with torch.inference_mode():
        features = MobileNet().eval()(torch.zeros(2, 3, 64, 96))
    wanted = [(2, width, 64 // s, 96 // s) for width, s in zip(WIDTHS, (4, 8, 16, 32))]
    assert [tuple(f.shape) for f in features] == wanted


def test_size_is_that_of_the_public_network():
    """mobilenetv4_conv_small has 3.77 M parameters; 1.28 M of them are its head and classifier."""
    head = 128 * 960 + 2 * 960 + 960 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in MobileNet().parameters()) + head == pytest.approx(3.77e6, rel=0.005)


def test_names_are_the_public_checkpoints(tmp_path):
    network = MobileNet()
    state = network.state_dict()
    assert state["blocks.0.0.conv.weight"].shape == (32, 32, 3, 3)
    assert state["blocks.2.0.dw_start.conv.weight"].shape == (64, 1, 5, 5)
    assert state["blocks.2.1.pw_exp.conv.weight"].shape == (192, 96, 1, 1)
    assert state["blocks.3.0.dw_mid.bn.weight"].shape == (576,)
    file = tmp_path / "small.safetensors"
    save_file({n: torch.full_like(t, 0.5) for n, t in state.items()} | {"classifier.bias": torch.zeros(1000)}, file)
    network.load_pretrained(file)
    assert (network.state_dict()["blocks.3.5.pw_proj.bn.bias"] == 0.5).all()


def test_file_of_another_network_is_refused(tmp_path):
    save_file({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "resnet.safetensors")
    with pytest.raises(ValueError, match=r"resnet\.safetensors lacks \d+ parameters of MobileNetV4-conv-small"):
        MobileNet().load_pretrained(tmp_path / "resnet.safetensors")


def test_camera_encoder_normalises_and_keeps_two_scales():
    encoder = CameraEncoder(16, 8).eval()
    with torch.inference_mode():
        context, detail = encoder(torch.randint(0, 255, (2, 3, 3, 64, 96), dtype=torch.uint8))
    assert context.shape == (2, 3, 16, 8, 12) and detail.shape == (2, 3, 8, 16, 24)
    grey = (torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1) - encoder.mean) * encoder.scale
    torch.testing.assert_close(grey, torch.zeros(1, 3, 1, 1), atol=1e-5, rtol=0)


def test_each_camera_is_encoded_by_itself():
    encoder = CameraEncoder(16, 8).eval()
    images = torch.randint(0, 255, (1, 3, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        together, _ = encoder(images)
        alone, _ = encoder(images[:, 1:2])
    torch.testing.assert_close(together[:, 1:2], alone)
