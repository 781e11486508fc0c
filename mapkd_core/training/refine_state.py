# SPDX-License-Identifier: Apache-2.0
"""All that a pretraining of the refinement has to remember, and its step; `training.refine` says what it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mapkd_core.config import ModelConfig, TrainConfig, from_dict, to_dict
from mapkd_core.models.refinement import Refinement
from mapkd_core.training import going_on, randomness
from mapkd_core.training.autocast import autocast
from mapkd_core.training.checkpoint import load_training, save_training
from mapkd_core.training.checks import check_run
from mapkd_core.training.descent import descend
from mapkd_core.training.losses import semantic_losses
from mapkd_core.training.optim import make_optimizer, schedule
from mapkd_core.training.run_state import Progress

KIND = "refinement"  # of a checkpoint and of weights; those of whole networks have none


class RefinementState:
    """network, its optimizer, and how far it is. Raises ValueError where the settings have no refinement."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        check_run(config)
        self.config, self.device = config, device
        self.network = fresh(config.model).train().to(device)
        self.optimizer = make_optimizer(self.network, config)
        self.progress = Progress(config)

    def drawn(self) -> np.random.Generator:
        """What this step draws frames and squares from; of seed and step alone, so that there is nothing to keep."""
        return np.random.default_rng((self.config.seed, self.progress.step))

    def step(self, told: Tensor, labels: Tensor, frames: Callable[[], str]) -> float:
        """told B 1+K Y X -> labels B Y X; the loss. Raises FloatingPointError, naming the frames, see `descend`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * schedule(self.progress.step, self.progress.share, self.config)
        with autocast(self.config, labels.device):
            answer = self.network(told)
        entropy, dice = semantic_losses(answer, labels, self.config.semantic_loss)
        total = self.config.weights["semantic"] * entropy + self.config.weights["dice"] * dice
        value = float(total.detach())
        descend(total, self.network, self.optimizer, self.config.clip, told={"total": value}, frames=frames)
        self.progress.advance()
        return value

    def save(self, path: Path) -> None:
        """Everything, so that `restore` goes on as if nothing had happened."""
        content = {"kind": KIND, "network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        content |= {"step": self.progress.step, "seconds": self.progress.seconds, "config": to_dict(self.config)}
        save_training(path, content | randomness.state(self.device))

    def restore(self, path: Path) -> None:
        """Raises ValueError for the run of a whole network, of another refinement, and of other settings."""
        state = load_training(path)
        if state.get("kind") != KIND:
            raise ValueError(f"{path} is of a whole network and no refinement: leave --refinement out, or start afresh")
        check_same(from_dict(TrainConfig, state["config"]).model, self.config.model, path)
        going_on.check_settings(path, state, self.config)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress.restore(state["step"], state["seconds"])
        randomness.restore(state, self.device)


def fresh(config: ModelConfig) -> Refinement:
    """A refinement that changes nothing yet. Raises ValueError where the settings have none."""
    if not config.refinement_layers:
        raise ValueError(
            "model.refinement_layers = 0: the network has no refinement to pretrain; set it, 3 for example"
        )
    return Refinement(len(config.classes), config.refinement_width, config.refinement_layers)


def check_same(theirs: ModelConfig, ours: ModelConfig, path: Path) -> None:
    """Raises ValueError, naming both, where a refinement is of another grid, classes or size than a network's."""
    for what in ("grid", "classes", "refinement_layers", "refinement_width"):
        one, other = getattr(theirs, what), getattr(ours, what)
        if one != other:
            raise ValueError(f"refinement {path} and the network differ in {what}: {one} and {other}; pretrain it anew")
