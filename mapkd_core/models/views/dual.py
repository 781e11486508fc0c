# SPDX-License-Identifier: Apache-2.0
"""Two view transforms side by side (MapDistill's Dual BEV Transform, arXiv 2407.11682): ground look-up and lift-splat.

MapDistill takes GKT and LSS; GKT's part, features fetched where the ground is seen, is our look-up's. The decoder's
first convolution fuses them. One plan carries both tables, the ground's first, so that a teacher with the ground view
alone reads its own from the same batch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.models.views.ground import GroundView
from mapkd_core.models.views.lift_splat import DEPTHS_M, LiftSplatView


class DualView(nn.Module):
    """B N C h w context, B N D 2h 2w detail, and the plan B L -> B (ground channels + C) Y X."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ground, self.splat = GroundView(config), LiftSplatView(config)
        self.widths = (self.ground.out_channels, self.splat.out_channels)
        self.out_channels = sum(self.widths)
        self.shape = ground_shape(config)

    @staticmethod
    def plan(config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[np.float32]:
        """L: the ground's table, then the cells of all frustum points, which a float32 holds exactly."""
        ground = GroundView.plan(config, K, ego_T_camera, valid)
        cells = LiftSplatView.plan(config, K, ego_T_camera, valid)
        return np.concatenate([ground.reshape(-1), cells.reshape(-1).astype(np.float32)])

    @staticmethod
    def observed(config: ModelConfig, plan: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Y X over the decoder grid: what the ground view observes."""
        shape = ground_shape(config)
        return GroundView.observed(config, plan[: np.prod(shape)].reshape(shape))

    def seen(self, plan: Tensor) -> Tensor:
        """B 1 Y X: 1 where some camera sees the cell's lowest point."""
        return self.ground.seen(ground_part(plan, self.shape))

    def forward(self, context: Tensor, detail: Tensor, plan: Tensor) -> Tensor:
        b, n, _, h, w = context.shape
        cells = plan[:, int(np.prod(self.shape)) :].view(b, n, len(DEPTHS_M), h, w)
        flat = self.ground(context, detail, ground_part(plan, self.shape))
        return torch.cat([flat, self.splat(context, detail, cells)], 1)


def ground_shape(config: ModelConfig) -> tuple[int, int, int, int]:
    """Z Y X 2 of the ground's table."""
    rows, columns = config.decoder_grid.shape
    return len(config.heights), rows, columns, 2


def ground_part(plan: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """B L -> B Z Y X 2: the plan of a network that has the ground view alone."""
    return plan[:, : int(np.prod(shape))].view(len(plan), *shape)
