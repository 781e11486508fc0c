# SPDX-License-Identifier: Apache-2.0
"""Two view transforms side by side (MapDistill's Dual BEV Transform, arXiv 2407.11682): the second is lift-splat.

MapDistill takes GKT and LSS; GKT's part, features fetched where the ground is seen, is our look-up's, or, for the
papers' networks, HDMapNet's perceptrons. The decoder's first convolution fuses them. One plan carries both tables, the
first view's first, so that a teacher with that view alone reads its own from the same batch.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.models.views.ground import GroundView
from mapkd_core.models.views.lift_splat import DEPTHS_M, LiftSplatView
from mapkd_core.models.views.perspective import CAMERAS, PerspectiveView

DUAL = {"ground": "dual", "perspective": "perspective_dual"}  # a view -> the name of its pair with lift-splat


class DualView(nn.Module):
    """B N C h w context, B N D 2h 2w detail, and the plan B L -> B (first view's channels + C) Y X."""

    FIRST: ClassVar[Any] = GroundView

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.first, self.splat = self.FIRST(config), LiftSplatView(config)
        self.widths = (self.first.out_channels, self.splat.out_channels)
        self.out_channels = sum(self.widths)
        self.shape = first_shape(config)

    @classmethod
    def plan(cls, config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[np.float32]:
        """L: the first view's plan, then the cells of all frustum points, which a float32 holds exactly."""
        first = cls.FIRST.plan(config, K, ego_T_camera, valid)
        cells = LiftSplatView.plan(config, K, ego_T_camera, valid)
        return np.concatenate([first.reshape(-1), cells.reshape(-1).astype(np.float32)])

    @classmethod
    def observed(cls, config: ModelConfig, plan: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Y X over the decoder grid: what the first view observes."""
        shape = first_shape(config)
        observed: NDArray[np.bool_] = cls.FIRST.observed(config, plan[: np.prod(shape)].reshape(shape))
        return observed

    def seen(self, plan: Tensor) -> Tensor:
        """B 1 Y X: what the first view has seen."""
        seen: Tensor = self.first.seen(first_part(plan, self.shape))
        return seen

    def forward(self, context: Tensor, detail: Tensor, plan: Tensor) -> Tensor:
        b, n, _, h, w = context.shape
        first = self.first(context, detail, first_part(plan, self.shape))
        cells = plan[:, int(np.prod(self.shape)) :].view(b, n, len(DEPTHS_M), h, w)
        return torch.cat([first, self.splat(context, detail, cells)], 1)


class PerspectiveDualView(DualView):
    """HDMapNet's view and lift-splat, of the same features."""

    FIRST = PerspectiveView


def first_shape(config: ModelConfig) -> tuple[int, ...]:
    """Of the first view's plan: Z Y X 2 of the ground's table, or N 4 4 mountings."""
    if config.view.startswith("perspective"):
        return CAMERAS, 4, 4
    return (len(config.heights), *config.decoder_grid.shape, 2)


def first_part(plan: Tensor, shape: tuple[int, ...]) -> Tensor:
    """B L -> B ...: the plan of a network that has the first view alone."""
    return plan[:, : int(np.prod(shape))].view(len(plan), *shape)
