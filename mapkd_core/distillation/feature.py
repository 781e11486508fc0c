# SPDX-License-Identifier: Apache-2.0
"""Baseline: the student's BEV, through a 1x1 convolution, near the teacher's (FitNets, arXiv 1412.6550, eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import adapter, square_distance
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel, MapOutput


@dataclass(frozen=True)
class Config:
    """weight: of the mean squared difference."""

    weight: float = 1.0


class Distil(Scheme):
    """Only the teacher is used."""

    reads = ("bev",)
    knows_layers = True

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        self.adapter = adapter(student.bev_channels, teacher.config.bev_channels)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        teacher = self.answer("teacher", batch)
        return {"feature": self.config.weight * square_distance(self.adapter(student.bev), teacher.bev)}
