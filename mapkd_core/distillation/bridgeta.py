# SPDX-License-Identifier: Apache-2.0
"""BridgeTA-style assistant: A RECONSTRUCTION. The full text of BridgeTA (arXiv 2508.09599) was not available to us.

Known from the abstract: in training only, a light assistant combines the BEV of teacher and student; the loss splits
the way from teacher to student in two by Young's inequality; features and responses are both transferred; the student
and its cost stay as they are. The rest is ours: for features T, A, S of teacher, assistant and student,

    |T - S|^2 = |T - A|^2 + 2 <T - A, A - S> + |A - S|^2,   and   2 a b <= e a^2 + b^2 / e   (Young, e > 0) give
    |T - S|^2 <= (1 + e) |T - A|^2 + (1 + 1/e) |A - S|^2,

with equality where A divides the way in the ratio 1 : e. The right side is the loss, for features and for class
probabilities, and both of its terms draw A, as the bound says. An assistant free to follow that bound alone ends on the
straight line between T and S, where it is plain distillation; so it also has to draw the map itself. Not drawn to the
student (`pull=false`, an ablation) it ends at the teacher, and the bound is plain distillation, too. The probabilities
are those of lines, which exclude each other, or of BEVFusion's layers, which may overlap; what of a layer is unknown
is not compared.

B batch, C channels, Y X cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import adapter, square_distance
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.models.mobilenet import ConvNorm
from mapkd_core.models.raster_head import RasterHead
from mapkd_core.training.losses import layer_loss, semantic_losses


@dataclass(frozen=True)
class Config:
    """epsilon: e of Young's inequality. pull: whether the assistant is drawn to the student by their common term.

    assistant: False leaves it out, and with it the bound: teacher and student are compared directly (an ablation).
    """

    epsilon: float = 1.0
    feature: float = 0.5
    response: float = 2.0
    own_map: float = 0.5
    pull: bool = True
    assistant: bool = True


class Assistant(nn.Module):
    """Teacher's and student's BEV, both B C Y X -> a mixture B C Y X, by a gate per cell and channel, and its map."""

    def __init__(self, channels: int, semantic: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, channels, 1)
        self.blend = ConvNorm(channels, channels, 3, act=False)
        self.head = RasterHead(channels, semantic, 0)

    def forward(self, teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
        gate = self.gate(torch.cat([teacher, student], 1)).sigmoid()
        mixture = gate * teacher + (1 - gate) * student
        mixture = mixture + self.blend(mixture)
        return mixture, self.head(mixture)[0]


def young_bound(teacher: Tensor, assistant: Tensor, student: Tensor, epsilon: float, pull: bool) -> Tensor:
    """(1 + e) |T - A|^2 + (1 + 1/e) |A - S|^2, means over all numbers; never below the mean of |T - S|^2."""
    near = assistant if pull else assistant.detach()
    return (1 + epsilon) * square_distance(teacher, assistant) + (1 + 1 / epsilon) * square_distance(near, student)


def likelihood(logits: Tensor, overlapping: bool) -> Tensor:
    """B K Y X: of classes that exclude each other, or of each layer for itself."""
    return logits.sigmoid() if overlapping else logits.softmax(1)


def own_map_loss(logits: Tensor, batch: Batch) -> Tensor:
    """The assistant's map against truth, by the student's own loss of lines or of layers."""
    if batch.layers is not None:
        return layer_loss(logits, batch.layers)
    return torch.stack(semantic_losses(logits, batch.labels)).sum()


class Distil(Scheme):
    """Only the teacher is used."""

    knows_layers = True
    positive = ("epsilon",)

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        self.adapter = adapter(student.bev_channels, teacher.config.bev_channels)
        channels, self.overlapping = teacher.config.bev_channels, student.overlapping
        self.assistant = Assistant(channels, student.semantic_channels) if config.assistant else None

    def teaches_semantic(self, teacher: str) -> bool:
        return bool(self.config.response)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        c, teacher = self.config, self.answer("teacher", batch)
        own = self.adapter(student.bev)
        if self.assistant is None:
            near, far = self._likelihoods(batch, student.semantic, teacher.semantic)
            return {
                "bridge_feature": c.feature * square_distance(own, teacher.bev),
                "bridge_response": c.response * square_distance(near, far),
            }
        # The assistant sees the student but does not teach it through this door.
        mixture, logits = self.assistant(teacher.bev.to(own.dtype), own.detach())
        probabilities = self._likelihoods(batch, teacher.semantic, logits, student.semantic)
        return {
            "bridge_feature": c.feature * young_bound(teacher.bev, mixture, own, c.epsilon, c.pull),
            "bridge_response": c.response * young_bound(*probabilities, c.epsilon, c.pull),
            "bridge_own_map": c.own_map * own_map_loss(logits, batch),
        }

    def _likelihoods(self, batch: Batch, *logits: Tensor) -> list[Tensor]:
        """Zero for all alike where truth does not know a layer: there the teacher learned nothing either."""
        found = [likelihood(x.float(), self.overlapping) for x in logits]
        return found if batch.layers is None else [x * (batch.layers >= 0) for x in found]
