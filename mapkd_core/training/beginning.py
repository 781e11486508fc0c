# SPDX-License-Identifier: Apache-2.0
"""The network that a run begins with: fresh, or with weights from files in whole or in part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from mapkd_core.config import ModelConfig, TrainConfig
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel
from mapkd_core.training import refine
from mapkd_core.training.checkpoint import load_weights


def initial(config: TrainConfig) -> MapModel:
    """A network with fresh weights, or with those of `config.initial`, which must be of the same shape.

    `config.camera` gives the camera encoder alone: a student's of any other shape, or timm's for the backbone.
    """
    model = build(config.model)
    if config.camera:
        given = load_file(config.camera)
        encoder = {name.removeprefix("camera."): v for name, v in given.items() if name.startswith("camera.")}
        for camera in model.camera_encoders:
            if encoder:
                camera.start(encoder)
            else:
                camera.backbone.load_pretrained(config.camera)
    if config.initial:
        start, _ = load_weights(Path(config.initial))
        _check_start(start.config, config)
        model.load_state_dict(start.state_dict(), strict=start.config == config.model)
    if config.refinement:
        refine.start(model, Path(config.refinement))
    return model


def _check_start(found: ModelConfig, config: TrainConfig) -> None:
    """Weights to start from are of this network, or of the same without its refinement."""
    bare = {"refinement_layers": 0, "refinement_width": found.refinement_width}
    if found not in (config.model, replace(config.model, **bare)):
        raise ValueError(f"initial = {config.initial}: its network is {found}, this run's is {config.model}")
