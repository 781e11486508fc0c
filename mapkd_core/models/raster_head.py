# SPDX-License-Identifier: Apache-2.0
"""BEV features to rasters on the canvas: semantic logits, instance embedding and line direction.

HDMapNet's three outputs (arXiv 2107.06307), made light: one shared block and a pixel shuffle instead of three decoders
at full resolution. Direction is (cos 2a, sin 2a) of the line's angle a, which has no front and no back, instead of 36
bins.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.models.mobilenet import ConvNorm


class RasterHead(nn.Module):
    """B C Y X -> semantic B S 2Y 2X (1+K classes, or layers alone), embedding B E 2Y 2X, direction B 2 2Y 2X."""

    def __init__(self, width: int, semantic: int, embedding: int) -> None:
        super().__init__()
        self.splits = (semantic, embedding, 2)
        self.block = ConvNorm(width, 2 * width, 3)
        self.out = nn.Conv2d(2 * width, 4 * sum(self.splits), 1)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rasters = functional.pixel_shuffle(self.out(self.block(bev)), 2).float().contiguous()
        semantic, embedding, direction = rasters.split(self.splits, 1)
        return semantic, embedding, direction
