# SPDX-License-Identifier: Apache-2.0
"""What all schemes share: teachers that stay as they are, and the check that they fit the student."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.models.views.dual import DUAL, first_part, first_shape


class Scheme(nn.Module):
    """Frozen teachers, and whatever a scheme learns beside the student (adapters, an assistant).

    `forward(batch, student)` gives {name: loss}, weighted by the scheme's own Config; the loop adds the map losses.
    reads: what of a teacher's MapOutput the scheme looks at; nothing else is kept of answers that are stored.
    knows_layers: whether its losses also hold for layers that may overlap, and not for lines alone.
    uses_coach: whether a coach has something to say in it.
    positive: numbers of its Config that must be more than 0; others must not be less.
    stored: teacher's name -> rows of the batch to those fields, where the answers are on disk (`training.answers`).
    """

    reads: ClassVar[tuple[str, ...]] = ("bev", "semantic")
    knows_layers: ClassVar[bool] = False
    uses_coach: ClassVar[bool] = False
    positive: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__()
        self.config, self._view = config, student.view
        if student.overlapping and not self.knows_layers:
            raise ValueError(
                f"{type(self).__module__.rpartition('.')[2]} teaches maps of lines, the student's classes are layers "
                f"that may overlap: {', '.join(student.classes)}; take bridgeta"
            )
        given = {"teacher": teacher} | ({"coach": coach} if coach is not None else {})
        for name, network in given.items():
            _check(name, network.config, student)
        self.frozen = nn.ModuleDict(given).requires_grad_(False).eval()
        self.stored: dict[str, Callable[[Tensor], dict[str, Any]]] = {}

    @property
    def teaches_queries(self) -> bool:
        """Whether the teacher's query head must have learned something."""
        return False

    def teaches_semantic(self, teacher: str) -> bool:
        """Whether it compares the semantic map of this one, whose raster head must then have learned something."""
        return "semantic" in self.reads

    def train(self, mode: bool = True) -> Scheme:
        """Teachers stay in eval mode: their batch norms must not move."""
        super().train(mode)
        self.frozen.eval()
        return self

    def start(self, student: MapModel) -> None:
        """Called once with the fresh student, before its first step; a scheme may give it weights to begin with."""

    @torch.no_grad()
    def answer(self, name: str, batch: Batch) -> MapOutput:
        """What the teacher or coach makes of the batch, with all that it knows of it."""
        if name in self.stored:
            assert batch.rows is not None, "stored answers are found by the rows of a TrainingSet"
            return cast(MapOutput, SimpleNamespace(**self.stored[name](batch.rows)))
        network = self.frozen[name]
        plan = batch.plan
        if self._view != network.config.view:  # the student's is the dual of it, see `_check`
            plan = first_part(plan, first_shape(network.config))
        output: MapOutput = network(batch.images, plan, *batch.inputs()[2:])
        return output

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        raise NotImplementedError


def check_heads(scheme: str, teacher: ModelConfig, student: ModelConfig) -> None:
    """Raises ValueError where the heads' polylines are not as many, or not of as many points."""
    ours, theirs = ((c.queries, c.points) for c in (student, teacher))
    if ours != theirs:
        raise ValueError(
            f"{scheme}: queries and points of the teacher are {theirs}, the student's {ours}; polylines are compared "
            "query by query: train them with the same"
        )


def _check(name: str, teacher: ModelConfig, student: ModelConfig) -> None:
    """Refuses networks whose cells, classes or features do not lie on each other; widths may differ."""
    for what in ("grid", "classes", "view", "heights", "image_height", "image_width", "decoder"):
        ours, theirs = getattr(student, what), getattr(teacher, what)
        if ours != theirs and (what != "view" or DUAL.get(theirs) != ours):
            raise ValueError(f"{name} and student differ in {what}: {theirs} and {ours}; train them with the same")
