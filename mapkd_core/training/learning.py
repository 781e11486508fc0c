# SPDX-License-Identifier: Apache-2.0
"""All that learns in a run, as one module that gives the losses of a batch: DistributedDataParallel wraps no less."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel
from mapkd_core.training.autocast import autocast
from mapkd_core.training.camera_hint import CameraHint
from mapkd_core.training.losses import map_losses


class Learning(nn.ModuleDict):
    """`model`, the student, `hint`, the training-only head, and `scheme` where a teacher teaches."""

    def __init__(self, config: TrainConfig, model: MapModel) -> None:
        hint = CameraHint(config.model.camera_width, len(config.model.classes))
        super().__init__({"model": model, "hint": hint})
        self.config = config

    @property
    def modalities(self) -> tuple[str, ...]:
        """What student and teachers together want to see of every frame; teachers whose answers are stored, nothing."""
        awake: list[nn.Module] = [self["model"]]
        if "scheme" in self:
            scheme = self["scheme"]
            assert isinstance(scheme, Scheme)
            awake += [network for name, network in scheme.frozen.items() if name not in scheme.stored]
        return tuple(sorted({m for network in awake for m in network.config.modalities}))

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What is to be made small, and the parts of it by name: a scheme's are weighted already, the map's are not."""
        config = self.config
        with autocast(config, batch.images.device):
            output = self["model"](*batch.learner_inputs())
            camera = self["hint"](output.camera, batch.camera_lines)
            taught = self["scheme"](batch, output) if "scheme" in self else {}
        losses = map_losses(output, batch, config.model.query_groups, config.semantic_loss) | {"camera": camera}
        total = torch.stack([config.weights[name] * value for name, value in losses.items()]).sum()
        if taught:
            total = total + torch.stack(list(taught.values())).sum()
        return total, losses | taught
