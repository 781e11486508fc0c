# SPDX-License-Identifier: Apache-2.0
"""What a forward pass costs in operations and parameters, counted and not measured: the same on every machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mapkd_core.config import ModelConfig
from mapkd_core.models.hdmapnet import CAMERAS, HDMapNet
from mapkd_core.models.inference import Inference
from mapkd_core.models.map_model import MapModel


def parameters(network: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in network.parameters())


def operations(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Floating-point operations of convolutions and matrix products in one pass; a multiply-add is two.

    Attention is counted by its two products: of PyTorch's fused layers and kernels the counter sees nothing.
    """
    was_training, is_fused = network.training, torch.backends.mha.get_fastpath_enabled()
    asked = [p for p in network.parameters() if p.requires_grad]
    network.eval().requires_grad_(False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            network(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fused)
        network.train(was_training)
        for parameter in asked:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops())


def student_cost(model: MapModel, images: torch.Tensor, plan: torch.Tensor) -> dict[str, Any]:
    """parameters_m of the model; gflop and moved_mb of what runs, which is the model rewritten for speed if it can be.

    moved_mb: megabytes that any runtime has to move: weights and fixed tables, pictures, plan and the answers.
    """
    network = Inference(model).eval()
    with torch.no_grad():
        answers = network(images, plan)
    moved = sum(t.nbytes for t in (*network.state_dict().values(), images, plan, *answers))
    counted = {"gflop": round(operations(network, images, plan) / 1e9, 3), "moved_mb": round(moved / 1e6, 2)}
    return {"parameters_m": _millions(model)} | counted


def hdmapnet_cost(config: ModelConfig) -> dict[str, Any]:
    """parameters_m and gflop of a network of HDMapNet's shape, counted without allocating it."""
    with torch.device("meta"):
        network = HDMapNet(config).to("meta")
        images = torch.empty(1, CAMERAS, 3, config.image_height, config.image_width)
        K, ego_T_camera = torch.empty(1, CAMERAS, 3, 3), torch.empty(1, CAMERAS, 4, 4)
    flops = operations(network, images, K, ego_T_camera)
    return {"parameters_m": _millions(network), "gflop": round(flops / 1e9, 3)}


def _millions(network: nn.Module) -> float:
    return round(parameters(network) / 1e6, 3)
