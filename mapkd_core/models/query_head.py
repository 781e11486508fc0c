# SPDX-License-Identifier: Apache-2.0
"""BEV features to polylines, with nothing to do afterwards: instance queries that refine their own points.

The outputs are MapTR's (arXiv 2208.14437): per query a class score per class and P ordered points. The way there is
lighter: each query owns a polyline, starts from a learned prior line, reads the BEV features along its present points,
talks with the other queries, and moves its points; a few rounds of that. Training adds further groups of queries
(Group DETR, arXiv 2207.13085), which share all weights but the priors and never see each other.

B batch, G groups, Q queries, P points, D width. Points are in [0, 1]^2, x y over the grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import ModelConfig

# The share of this head's gradient that the BEV features receive. In full it outweighs that of the rasters: measured in
# norm at the camera encoder, 26 against 4 at the start and 1.9 against 0.7 in the shipped weights.
TRUNK_GRADIENT = 0.3


class QueryHead(nn.Module):
    """BEV levels -> per layer (scores B G*Q K logits, points B G*Q P 2). In eval mode G = 1."""

    def __init__(self, config: ModelConfig, level_widths: tuple[int, ...]) -> None:
        super().__init__()
        self.queries, self.points = config.queries, config.points
        d, total = config.query_width, config.queries * config.query_groups
        self.prior = nn.Parameter(_random_lines(total, config.points))
        self.content = nn.Parameter(torch.randn(total, d) * 0.1)
        self.values = nn.ModuleList(nn.Conv2d(w, d // 2, 1) for w in level_widths)
        self.layers = nn.ModuleList(_Refine(d, config.points, len(config.classes)) for _ in range(config.query_layers))

    def forward(self, levels: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
        groups = len(self.prior) // self.queries if self.training else 1
        total = groups * self.queries
        b = len(levels[0])
        if self.training:
            levels = tuple(level.detach().lerp(level, TRUNK_GRADIENT) for level in levels)
        values = [value(level) for value, level in zip(self.values, levels, strict=True)]
        points = self.prior[:total].expand(b, -1, -1, -1)
        content = self.content[:total].expand(b, -1, -1)
        outputs = []
        for layer in self.layers:
            content, scores, points = layer(content, points, values, groups)
            outputs.append((scores, points))
            points = points.detach()
        return outputs


class _Refine(nn.Module):
    """One round: read along the line, talk with the other queries, score, move the points."""

    def __init__(self, d: int, points: int, classes: int) -> None:
        super().__init__()
        self.read = nn.Sequential(ReadLine(points, d // 2, d), nn.ReLU(inplace=True), nn.Linear(d, d))
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(3))
        self.attention = _Attention(d, 4)
        self.feed = nn.Sequential(nn.Linear(d, 2 * d), nn.ReLU(inplace=True), nn.Linear(2 * d, d))
        self.score = nn.Linear(d, classes)
        self.move = nn.Sequential(nn.Linear(d, d), nn.ReLU(inplace=True), nn.Linear(d, points * 2))
        self.nudge = nn.Sequential(NudgePoint(d, d // 2, d // 2), nn.ReLU(inplace=True), nn.Linear(d // 2, 2))
        nn.init.constant_(self.score.bias, -3.0)
        for last in (self.move[-1], self.nudge[-1]):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def forward(
        self, content: Tensor, points: Tensor, values: list[Tensor], groups: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        where = points * 2 - 1
        # In single precision even under autocast: bf16 would round the places by up to 6 cm.
        along = sum(functional.grid_sample(v.float(), where, align_corners=False).to(v.dtype) for v in values)
        along = along.permute(0, 2, 3, 1)  # B Q P D/2
        read = self.read[0](along, where.to(along.dtype))
        content = self.norms[0](content + self.read[1:](read))
        content = self.norms[1](content + self.attention(content, groups))
        content = self.norms[2](content + self.feed(content))
        nudge = self.nudge[1:](self.nudge[0](content, along))
        step = self.move(content).unflatten(-1, (-1, 2)) + nudge
        return content, self.score(content).float(), points + step.float()


class ReadLine(nn.Linear):
    """What a query reads along its line: features B Q P D/2 and places B Q P 2 of its points -> B Q D."""

    def __init__(self, points: int, features: int, out: int) -> None:
        super().__init__(points * (features + 2), out)
        self.points = points

    def forward(self, along: Tensor, where: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(torch.cat([along, where], -1).flatten(2))


class NudgePoint(nn.Linear):
    """Content B Q D of a query beside the features B Q P D/2 of each of its points -> B Q P D/2."""

    def __init__(self, content: int, features: int, out: int) -> None:
        super().__init__(content + features, out)
        self.content = content

    def forward(self, content: Tensor, along: Tensor) -> Tensor:  # type: ignore[override]
        wide = content.unsqueeze(2).expand(-1, -1, along.shape[2], -1)
        return super().forward(torch.cat([wide, along], -1))


class _Attention(nn.Module):
    """Self-attention among the queries of a group."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)

    def forward(self, content: Tensor, groups: int) -> Tensor:
        b, total, d = content.shape
        qkv = self.qkv(content).reshape(b * groups, total // groups, 3, self.heads, d // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).reshape(b, total, d))


def _random_lines(count: int, points: int) -> Tensor:
    """count P 2 in [0, 1]: straight pieces across the range, most along the driving direction; training moves them."""
    generator = torch.Generator().manual_seed(0)
    told = {"generator": generator, "device": generator.device}  # numbers, even in a network made on the meta device
    centre = torch.rand(count, 1, 2, **told)
    angle = torch.randn(count, 1, **told) * 0.5
    length = 0.1 + 0.8 * torch.rand(count, 1, **told)
    t = torch.linspace(-0.5, 0.5, points, device=generator.device).expand(count, -1)
    offsets = torch.stack([t * length * angle.cos(), t * length * angle.sin()], -1)
    return (centre + offsets).clamp(0, 1)
