# SPDX-License-Identifier: Apache-2.0
"""View transform by look-up: every BEV cell fetches the features at the pixel where its ground point is seen.

No weights depend on a camera, so a new rig needs a new table and nothing else (Fast-BEV, arXiv 2301.12511; Simple-BEV,
arXiv 2206.07959, found such parameter-free sampling as good as learned ones). One camera a cell, bilinear, at one or
several heights, and from two scales: context at 1/8 and paint-sharp detail at 1/4.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import ModelConfig
from mapkd_core.models.views.projection import ground_lookup


class GroundView(nn.Module):
    """B N C h w context, B N D 2h 2w detail, and the plan B Z Y X 2 -> B (C + D) * Z Y X."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.out_channels = (config.camera_width + config.detail_width) * len(config.heights)

    @staticmethod
    def plan(config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[np.float32]:
        """Z Y X 2: see `ground_lookup`. K holds for pictures of the model's size."""
        size = (config.image_height, config.image_width)
        return ground_lookup(K, ego_T_camera, valid, size, config.decoder_grid, config.heights)

    @staticmethod
    def observed(config: ModelConfig, plan: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Y X over the decoder grid: cells whose lowest point some camera sees; `seen` in numpy."""
        observed: NDArray[np.bool_] = plan[0, :, :, 0] > -1.5
        return observed

    @staticmethod
    def seen(plan: Tensor) -> Tensor:
        """B 1 Y X: 1 where some camera sees the cell's lowest point."""
        return (plan[:, :1, :, :, 0] > -1.5).to(plan.dtype)

    def forward(self, context: Tensor, detail: Tensor, plan: Tensor) -> Tensor:
        z, y = plan.shape[1:3]
        points = plan.flatten(1, 2)  # B (Z Y) X 2
        # In single precision even under autocast: bf16 would round the places by up to 0.7 px, a metre at 20 m.
        sampled = [
            functional.grid_sample(_stack(f).float(), points, align_corners=False).to(f.dtype)
            for f in (context, detail)
        ]
        return torch.cat([s.unflatten(2, (z, y)).flatten(1, 2) for s in sampled], 1)  # B (C Z + D Z) Y X


def _stack(features: Tensor) -> Tensor:
    """B N C h w -> B C (N h) w: one tall picture, so that one call samples all cameras."""
    return features.transpose(1, 2).flatten(2, 3)
