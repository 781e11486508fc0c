# SPDX-License-Identifier: Apache-2.0
"""Baseline: the teacher's features where the lines are, as BEVDistill and UniDistill do it where the objects are.

Both distil BEV features of the foreground alone (BEVDistill, arXiv 2211.09386, a Gaussian of every object weighs the
difference; UniDistill, arXiv 2303.15083, points of every box, and how they relate). Maps have lines instead of boxes:
our foreground is the true lines widened by `reach` cells, our points are cells on them.

B batch, C channels, Y X decoder cells, N points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core import over_ranks
from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import adapter, masked_mean, single_precision
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel, MapOutput


@dataclass(frozen=True)
class Config:
    """feature, relation: weights. reach: decoder cells around a line. points: at most so many of a frame relate."""

    feature: float = 1.0
    relation: float = 1.0
    reach: int = 1
    points: int = 128


def near_lines(labels: Tensor, reach: int) -> Tensor:
    """B 2Y 2X labels -> B Y X bool: decoder cells at most `reach` cells from a line."""
    lines = (labels > 0).float().unsqueeze(1)
    size = 2 * reach + 1
    return functional.max_pool2d(functional.max_pool2d(lines, 2), size, 1, reach)[:, 0] > 0


def relation_loss(student: Tensor, teacher: Tensor, labels: Tensor, points: int) -> Tensor:
    """Mean difference of the cosines between features of cells on lines, which are taken evenly; 0 without lines."""
    on_line = near_lines(labels, 0)
    losses = []
    for own, wanted, cells in zip(student, teacher, on_line, strict=True):
        at = cells.flatten().nonzero()[:, 0]
        if len(at):
            at = at[torch.linspace(0, len(at) - 1, min(points, len(at)), device=at.device).round().long()]
            s, t = (functional.normalize(x.flatten(1)[:, at].float(), dim=0) for x in (own, wanted))  # C N
            with single_precision(s):
                losses.append((s.T @ s - t.T @ t).abs().mean())
    frames = over_ranks.divisor(student.new_tensor(len(losses)))
    return (torch.stack(losses).sum() if losses else student.sum() * 0.0) / frames


class Distil(Scheme):
    """Only the teacher is used."""

    reads = ("bev",)
    positive = ("points",)

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        self.adapter = adapter(student.bev_channels, teacher.config.bev_channels)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        c, teacher = self.config, self.answer("teacher", batch)
        adapted = self.adapter(student.bev).float()
        apart = (adapted - teacher.bev.float()).square()
        return {
            "foreground": c.feature * masked_mean(apart, near_lines(batch.labels, c.reach)),
            "relation": c.relation * relation_loss(adapted, teacher.bev, batch.labels, c.points),
        }
