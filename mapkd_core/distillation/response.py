# SPDX-License-Identifier: Apache-2.0
"""Baseline: every cell's class probabilities near the teacher's (Hinton, arXiv 1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import response_kl
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapOutput


@dataclass(frozen=True)
class Config:
    """temperature: of both softmaxes."""

    weight: float = 1.0
    temperature: float = 2.0


class Distil(Scheme):
    """Only the teacher is used; nothing is learned beside the student."""

    reads = ("semantic",)
    positive = ("temperature",)

    def teaches_semantic(self, teacher: str) -> bool:
        return bool(self.config.weight)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        teacher = self.answer("teacher", batch)
        loss = response_kl(student.semantic, teacher.semantic, self.config.temperature)
        return {"response": self.config.weight * loss}
