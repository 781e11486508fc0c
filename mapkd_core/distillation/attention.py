# SPDX-License-Identifier: Apache-2.0
"""Baseline: where the features are strong (attention transfer, arXiv 1612.03928, eq. 2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from mapkd_core.data.batch import Batch
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapOutput


@dataclass(frozen=True)
class Config:
    """weight: of the squared difference of both attention maps, each of length one."""

    weight: float = 10.0


def attention_map(features: Tensor) -> Tensor:
    """B C Y X -> B (Y X): mean square over the channels, of length one."""
    return functional.normalize(features.float().square().mean(1).flatten(1), dim=1)


class Distil(Scheme):
    """Only the teacher is used; nothing is learned beside the student."""

    reads = ("bev",)
    knows_layers = True

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        teacher = self.answer("teacher", batch)
        difference = attention_map(student.bev) - attention_map(teacher.bev)
        return {"attention": self.config.weight * difference.square().sum(1).mean()}
