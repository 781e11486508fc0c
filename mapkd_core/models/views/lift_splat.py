# SPDX-License-Identifier: Apache-2.0
"""View transform by Lift-Splat-Shoot (arXiv 2008.05711): pixels spread their features along their rays by likely depth.

The cell of every frustum point is computed once per calibration (as BEVPoolv2, arXiv 2211.17111), so that a frame costs
an outer product and one indexed sum.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.models.views.projection import frustum_cells

DEPTHS_M = np.arange(2.0, 36.0, 1.0)
POOL = 2  # cells of the splat grid per decoder cell and axis: rays are too sparse for the fine grid


class LiftSplatView(nn.Module):
    """B N C h w context and the plan B N D h w -> B C' Y X; the detail scale is not used. C' is C unless told."""

    def __init__(self, config: ModelConfig, out_channels: int | None = None) -> None:
        super().__init__()
        self.out_channels = out_channels or config.camera_width
        self.shape = config.decoder_grid.coarser(POOL).shape
        self.lift = nn.Conv2d(config.camera_width, len(DEPTHS_M) + self.out_channels, 1)

    @staticmethod
    def plan(config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[np.int32]:
        """N D h w flat cells of the splat grid: see `frustum_cells`."""
        size = (config.image_height, config.image_width)
        return frustum_cells(K, ego_T_camera, valid, size, config.decoder_grid.coarser(POOL), DEPTHS_M, 8)

    @staticmethod
    def observed(config: ModelConfig, plan: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Y X over the decoder grid: cells into which a frustum point falls."""
        y, x = config.decoder_grid.coarser(POOL).shape
        hit = np.zeros(y * x + 1, bool)
        hit[plan.reshape(-1)] = True
        observed: NDArray[np.bool_] = hit[:-1].reshape(y, x).repeat(POOL, 0).repeat(POOL, 1)
        return observed

    def seen(self, plan: Tensor) -> Tensor:
        """B 1 Y X: 1 where a frustum point falls into the cell."""
        y, x = self.shape
        hits = torch.zeros(len(plan), y * x + 1, device=plan.device)
        hits.scatter_(1, plan.flatten(1).long(), 1.0)
        return _upsample(hits[:, :-1].view(-1, 1, y, x))

    def forward(self, context: Tensor, detail: Tensor, plan: Tensor) -> Tensor:
        (b, n), c = context.shape[:2], self.out_channels
        lifted = self.lift(context.flatten(0, 1))
        depth = lifted[:, : len(DEPTHS_M)].softmax(1)  # (B N) D h w
        points = depth.unsqueeze(2) * lifted[:, len(DEPTHS_M) :].unsqueeze(1)  # (B N) D C h w
        points = points.unflatten(0, (b, n)).permute(0, 1, 2, 4, 5, 3).reshape(b, -1, c)
        y, x = self.shape
        bev = points.new_zeros(b, y * x + 1, c)
        bev.scatter_add_(1, plan.flatten(1).long().unsqueeze(-1).expand(-1, -1, c), points)
        return _upsample(bev[:, :-1].transpose(1, 2).reshape(b, c, y, x))


def _upsample(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=float(POOL), mode="bilinear", align_corners=False)
