# SPDX-License-Identifier: Apache-2.0
"""What all schemes share: teachers that stay as they are, and the check that they fit the student."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.models.views.dual import ground_part, ground_shape


class Scheme(nn.Module):
    """Frozen teachers, and whatever a scheme learns beside the student (adapters, an assistant).

    `forward(batch, student)` gives {name: loss}, weighted by the scheme's own Config; the loop adds the map losses.
    """

    def __init__(self, config: Any, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__()
        self.config, self._view = config, student.view
        given = {"teacher": teacher} | ({"coach": coach} if coach is not None else {})
        for name, network in given.items():
            _check(name, network.config, student)
        self.frozen = nn.ModuleDict(given).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Scheme:
        """Teachers stay in eval mode: their batch norms must not move."""
        super().train(mode)
        self.frozen.eval()
        return self

    @torch.no_grad()
    def answer(self, name: str, batch: Batch) -> MapOutput:
        """What the teacher or coach makes of the batch, with all that it knows of it."""
        network = self.frozen[name]
        plan = batch.plan
        if self._view == "dual" and network.config.view == "ground":
            plan = ground_part(plan, ground_shape(network.config))
        output: MapOutput = network(batch.images, plan, batch.points, batch.sd, batch.hd)
        return output

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        raise NotImplementedError


def _check(name: str, teacher: ModelConfig, student: ModelConfig) -> None:
    for what in ("grid", "classes", "view", "heights", "image_height", "image_width"):
        ours, theirs = getattr(student, what), getattr(teacher, what)
        if ours != theirs and (what, ours, theirs) != ("view", "dual", "ground"):
            raise ValueError(f"{name} and student differ in {what}: {theirs} and {ours}; train them with the same")
