# SPDX-License-Identifier: Apache-2.0
"""Ours: the student inherits the teacher's decoder and heads, and then learns to feed them without LiDAR and priors.

Where teacher and student have the same decoder, all that the teacher knows about roads once they lie in the BEV - how
lines go on behind a lorry, what a junction looks like, which query answers for which line - is in weights that a
student can simply be given (reusing a teacher's classifier: SimKD, arXiv 2203.14001; inheriting weights:
FGD, arXiv 2111.11837). What is left to learn is the BEV they are fed with. So it is taught there (`fused`), where the
decoder ends (`bev`), and by the polylines of the query head, which need no matching since query i of the student began
as query i of the teacher: every layer of the query head is drawn to them as strongly as to truth. Class probabilities
of every cell (`response`) are not taught: they are sure of much that no picture shows, and drawn to them a student lost
mIoU (`mapkd bench distill`, row inherit_response). Nothing changes at inference.

A distance between features is divided by the mean square of the teacher's, so that the weights mean the same whatever
the teacher's scale. B batch, C channels, Y X decoder cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mapkd_core import over_ranks
from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.foreground import near_lines
from mapkd_core.distillation.losses import adapter, response_kl
from mapkd_core.distillation.mapdistill import head_losses
from mapkd_core.distillation.scheme import Scheme, check_heads
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.training.handing_over import DECODER, check_equal, check_whole, hand_over

INHERITED = {"nothing": (), "decoder": DECODER, "all": ("",)}


@dataclass(frozen=True)
class Config:
    """inherit: nothing, decoder (with both heads), or all that fits, the camera encoder included.

    fused, bev, response, head: weights. foreground: how much more a cell within one cell of a true line counts.
    temperature: of the response. points: weight of the head's points against its scores; together with `head` it makes
    answers as heavy as truth, of which a class weighs 2 and a point 30 in x and in y. every_layer: all layers of the
    query head learn the teacher's answer, not the last alone.
    """

    inherit: str = "decoder"
    fused: float = 1.0
    bev: float = 1.0
    response: float = 0.0
    head: float = 2.0
    foreground: float = 4.0
    temperature: float = 2.0
    points: float = 30.0
    every_layer: bool = True


def relative_distance(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Mean of weight (student - teacher)^2 over the mean of teacher^2. B C Y X twice; weight B Y X, of mean one."""
    own, wanted = student.float(), teacher.float()
    apart = (own - wanted).square().mean(1)
    return (weight * apart).mean() / over_ranks.mean(wanted.square().mean()).clamp(min=1e-6)


class Distil(Scheme):
    """Only the teacher is used."""

    reads = ("fused", "bev", "semantic", "queries")
    positive = ("temperature",)

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        if config.inherit not in INHERITED:
            raise ValueError(f"inherit.inherit = {config.inherit!r}; known: {', '.join(INHERITED)}")
        if self.teaches_queries:
            check_heads("inherit", teacher.config, student)
        known, same = teacher.config, student.bev_width == teacher.config.bev_width
        self.adapters = nn.ModuleDict(
            {}
            if same
            else {
                "fused": adapter(student.bev_width, known.bev_width),
                "bev": adapter(student.bev_channels, known.bev_channels),
            }
        )

    @property
    def teaches_queries(self) -> bool:
        return bool(self.config.head) or self.config.inherit != "nothing"

    def teaches_semantic(self, teacher: str) -> bool:
        return bool(self.config.response)

    def start(self, student: MapModel) -> None:
        """Raises ValueError, naming both sides, where a decoder or a head of the two would not mean the same."""
        super().start(student)
        teacher, parts = self.frozen["teacher"], INHERITED[self.config.inherit]
        assert isinstance(teacher, MapModel)
        if not parts:
            return
        check_equal(teacher.config, student.config)
        check_whole(student, hand_over(teacher, student, parts))

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        c, teacher = self.config, self.answer("teacher", batch)
        weight = 1 + c.foreground * near_lines(batch.labels, 1).float()
        weight = weight / over_ranks.mean(weight.mean())
        away = {
            name: relative_distance(self._adapted(name, getattr(student, name)), getattr(teacher, name), weight)
            for name in ("fused", "bev")
        }
        layers = student.queries if c.every_layer else student.queries[-1:]
        by_index = c.inherit != "nothing"  # else its queries have nothing to do with the teacher's
        heads = [head_losses(layer, teacher.queries[-1], by_index, c.points) for layer in layers]
        losses = {
            "inherit_fused": c.fused * away["fused"],
            "inherit_bev": c.bev * away["bev"],
            "inherit_head": c.head * torch.stack(heads).mean(),
        }
        if c.response:
            response = response_kl(student.semantic.float(), teacher.semantic.float(), c.temperature)
            losses["inherit_response"] = c.response * response
        return losses

    def _adapted(self, name: str, features: Tensor) -> Tensor:
        return self.adapters[name](features) if name in self.adapters else features
