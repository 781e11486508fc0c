# SPDX-License-Identifier: Apache-2.0
"""A prior of what HD maps look like: a transformer that reads the predicted map and corrects it (P-MapNet's HD prior).

P-MapNet (arXiv 2403.10521) pretrains a ViT as a masked autoencoder on true maps, parts of which are hidden, and then
puts it behind its decoder. So do we (`training.refine`), with two differences: the network adds to the logits that it
reads and starts as the identity, and instances, directions and polylines are left as the teacher gave them. A cell that
is hidden is one of which nothing is known: all classes are equally likely there.

B batch, K classes, Y X canvas cells, multiples of PATCH, D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.models.mobilenet import ConvNorm
from mapkd_core.models.prior import sine_places

PATCH = 8  # canvas cells a token is wide and high, as P-MapNet's
FINE = 16  # channels at full resolution, where tokens and map meet again
_HEAD_WIDTH = 64


class Refinement(nn.Module):
    """Semantic logits B 1+K Y X -> the same, corrected."""

    def __init__(self, classes: int, width: int, layers: int) -> None:
        super().__init__()
        heads = max(2, width // _HEAD_WIDTH)
        if width % heads or width % 4:
            raise ValueError(f"refinement_width = {width}; want a multiple of 4 and of its {heads} heads, such as 96")
        self.embed = nn.Conv2d(1 + classes, width, PATCH, PATCH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.spread = nn.Linear(width, FINE * PATCH**2)
        self.mix = ConvNorm(FINE + 1 + classes, FINE, 3)
        self.out = nn.Conv2d(FINE, 1 + classes, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, logits: Tensor) -> Tensor:
        known = logits.softmax(1) - 1 / logits.shape[1]  # 0 where nothing is known
        patches = self.embed(known)  # B D y x
        places = sine_places(patches.shape[1], *patches.shape[2:]).to(patches)
        tokens = (patches + places).flatten(2).transpose(1, 2)  # B yx D
        for layer in self.layers:
            tokens = layer(tokens)
        spread = self.spread(self.norm(tokens)).transpose(1, 2).unflatten(2, patches.shape[2:])
        fine = functional.pixel_shuffle(spread, PATCH)  # B FINE Y X
        correction: Tensor = self.out(self.mix(torch.cat([fine, known.to(fine.dtype)], 1)))
        return logits + correction.float()
