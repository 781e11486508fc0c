# SPDX-License-Identifier: Apache-2.0
"""Networks of the shapes that others published, to be timed beside the student: built by us, weights random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mapkd_core.bench import cost
from mapkd_core.config import ModelConfig
from mapkd_core.models.build import build, plan
from mapkd_core.models.hdmapnet import HDMapNet

HDMAPNET, MAPKD = "HDMapNet shape, eager PyTorch fp32", "MapKD student's shape, eager PyTorch fp32"
# As config/train/paper/mapkd_student.yaml: 370 GFLOP. The code that MapKD's authors released takes 422.
MAPKD_STUDENT = {
    "view": "perspective", "decoder": "resnet", "camera_width": 64, "bev_width": 64, "embedding": 16, "neck_width": 192,
}  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """key: in the JSON. cost: parameters_m and gflop. run: one forward pass on the frame's pictures."""

    key: str
    cost: dict[str, Any]
    run: Callable[[], object]


def peers(config: ModelConfig, images: Tensor, K: Tensor, ego_T_camera: Tensor) -> dict[str, Peer]:
    """By their rows in the table. config: of the student, whose pictures, canvas and classes they take.

    images: 1 N 3 H W uint8; K: 1 N 3 3; ego_T_camera: 1 N 4 4.
    """
    hdmapnet = HDMapNet(config).eval()
    mapkd = build(replace(config, modalities=("camera",), **MAPKD_STUDENT)).eval()
    every = torch.ones(images.shape[1], dtype=torch.bool)
    table = torch.from_numpy(plan(mapkd.config, K[0].numpy(), ego_T_camera[0].numpy(), every.numpy()))[None]
    return {
        HDMAPNET: Peer("hdmapnet_shape", cost.hdmapnet_cost(config), _forward(hdmapnet, images, K, ego_T_camera)),
        MAPKD: Peer("mapkd_student_shape", cost.student_cost(mapkd, images, table), _forward(mapkd, images, table)),
    }


def _forward(network: nn.Module, *given: Tensor) -> Callable[[], object]:
    return torch.inference_mode()(lambda: network(*given))
