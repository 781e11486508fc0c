# SPDX-License-Identifier: Apache-2.0
"""Baseline: each class's map as a distribution over cells (channel-wise distillation, arXiv 2011.13256, eq. 3-5)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import row_kl
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapOutput

NOWHERE = -1e4  # logit of a cell that has no share in its layer


@dataclass(frozen=True)
class Config:
    """temperature: of the softmax over cells."""

    weight: float = 3.0
    temperature: float = 4.0


def channel_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """t^2 KL(T || S) of B K Y X logits, softmax over the cells of each channel, mean over frames and channels."""
    s, t = ((x.flatten(2) / temperature).softmax(-1) for x in (student, teacher))
    return temperature**2 * row_kl(s, t)


class Distil(Scheme):
    """Only the teacher is used; nothing is learned beside the student. Unknown cells of layers say nothing."""

    reads = ("semantic",)
    positive = ("temperature",)
    knows_layers = True

    def teaches_semantic(self, teacher: str) -> bool:
        return bool(self.config.weight)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        teacher = self.answer("teacher", batch)
        own, wanted = student.semantic, teacher.semantic
        if batch.layers is not None:
            own, wanted = (x.masked_fill(batch.layers < 0, NOWHERE) for x in (own, wanted))
        loss = channel_loss(own, wanted, self.config.temperature)
        return {"channelwise": self.config.weight * loss}
