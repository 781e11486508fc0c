# SPDX-License-Identifier: Apache-2.0
"""Map priors (SD roads, HD lines as rasters) into the BEV by cross-attention, as P-MapNet (arXiv 2403.10521, eq. 3-4).

A navigation map is metres off. Attention lets every BEV cell look for its road anywhere in the prior, where adding or
stacking would trust the prior's places. For teachers and coaches. B batch, l layers, D width, y x coarse cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mapkd_core.models.decoder import Residual
from mapkd_core.models.mobilenet import ConvNorm

LAYERS = {"sd": 1, "hd": 3}  # raster layers of each prior: roads; divider, ped_crossing, boundary
_HEADS = 4


class PriorEncoder(nn.Module):
    """B l Y X, 0 or 1 on the decoder grid -> B D Y/4 X/4."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(ConvNorm(layers, width // 2, 3, 2), ConvNorm(width // 2, width, 3, 2), Residual(width))

    def forward(self, raster: Tensor) -> Tensor:
        result: Tensor = self.net(raster * 2 - 1)  # -1 background, 1 line: an empty prior is told apart from none
        return result


class LaidPrior(nn.Module):
    """B l Y X, 0 or 1 on the decoder grid -> B W Y X: a prior laid into the BEV where it says that its lines are.

    For one that is nearly right about that, an older HD map. Attention alone made little of it: it sees the BEV at a
    quarter of the resolution, and has to find out first that it should look at its own place.
    """

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(ConvNorm(layers, width, 3), ConvNorm(width, width, 3))

    def forward(self, raster: Tensor) -> Tensor:
        result: Tensor = self.net(raster * 2 - 1)
        return result


class PriorAttention(nn.Module):
    """BEV features B C y x ask the tokens of the priors, each B D y x; starts as the identity."""

    def __init__(self, channels: int, width: int, layers: int = 2) -> None:
        super().__init__()
        self.ask = nn.Conv2d(channels, width, 1)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(width, _HEADS, 3 * width, dropout=0.0, batch_first=True) for _ in range(layers)
        )
        self.answer = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def forward(self, bev: Tensor, priors: Sequence[Tensor]) -> Tensor:
        if not priors:
            return bev
        query = self.ask(bev)
        places = sine_places(query.shape[1], *query.shape[2:]).to(query)  # D y x
        tokens = (query + places).flatten(2).transpose(1, 2)  # B yx D
        memory = torch.cat([(prior + places).flatten(2).transpose(1, 2) for prior in priors], 1)
        for layer in self.layers:
            tokens = layer(tokens, memory)
        return bev + self.answer(tokens.transpose(1, 2).unflatten(2, query.shape[2:]))


def sine_places(width: int, rows: int, columns: int) -> Tensor:
    """D y x: sine and cosine of both coordinates, of waves from a tenth of the range up. D: a multiple of 4."""
    if width % 4:
        raise ValueError(f"prior_width = {width}; the places of a prior need a multiple of 4")
    wavelengths = 10000 ** (torch.arange(width // 4) / (width // 4))
    parts = []
    for axis, count in enumerate((rows, columns)):
        at = 10 * 2 * math.pi * (torch.arange(count) + 0.5) / count
        angle = at / wavelengths[:, None]  # D/4 count
        angle = angle.unsqueeze(2 - axis).expand(-1, rows, columns)
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts)
