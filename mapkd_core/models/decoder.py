# SPDX-License-Identifier: Apache-2.0
"""BEV to BEV: a small U-net over the decoder grid. B batch, C channels, Y X cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.models.mobilenet import ConvNorm


class BevDecoder(nn.Module):
    """B C Y X -> features at full, 1/2 and 1/4 resolution with w, 2w and 4w channels. Y, X multiples of 4.

    With them come what the stem made, and what the 1/4 level was before `attention`: (features at 1/4, tokens of map
    priors) -> features, for networks that get priors.
    """

    def __init__(self, inp: int, width: int, attention: nn.Module | None = None) -> None:
        super().__init__()
        w = width
        self.attention = attention
        self.stem = nn.Sequential(ConvNorm(inp, w, 1), ConvNorm(w, w, 3))
        self.down1 = nn.Sequential(ConvNorm(w, 2 * w, 3, 2), Residual(2 * w))
        self.down2 = nn.Sequential(ConvNorm(2 * w, 4 * w, 3, 2), Residual(4 * w), Residual(4 * w, 2))
        self.up1 = nn.Sequential(ConvNorm(6 * w, 2 * w, 1), Residual(2 * w))
        self.up0 = nn.Sequential(ConvNorm(3 * w, w, 1), Residual(w))

    def forward(self, bev: Tensor, priors: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        full = fused = self.stem(bev)
        half = self.down1(full)
        quarter = bottleneck = self.down2(half)
        if self.attention is not None:
            quarter = self.attention(quarter, priors)
        half = self.up1(torch.cat([half, _double(quarter)], 1))
        return self.up0(torch.cat([full, _double(half)], 1)), half, quarter, fused, bottleneck


class Residual(nn.Module):
    """Two 3x3 convolutions, the second dilated if asked, around a shortcut."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(width, width, 3)
        self.second = ConvNorm(width, width, 3, act=False)
        if dilation > 1:
            self.second.conv.dilation = (dilation, dilation)
            self.second.conv.padding = (dilation, dilation)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
