# SPDX-License-Identifier: Apache-2.0
"""Optimizer and learning-rate schedule of a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from mapkd_core.config import TrainConfig
from mapkd_core.training.muon import Muon, parameter_groups

OPTIMIZERS = ("muon", "adamw", "adam")


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """`config.optimizer`, one of OPTIMIZERS; adam's weight decay is part of its gradient, as in PyTorch.

    Raises ValueError for another name.
    """
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "muon":
        return Muon(groups, config.learning_rate)
    if config.optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer = {config.optimizer!r}; known: {', '.join(OPTIMIZERS)}")
    plain = [{key: group[key] for key in ("params", "weight_decay")} for group in groups]
    return (torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam)(plain, config.learning_rate)


def schedule(step: int, share: float, config: TrainConfig) -> float:
    """Linear warm-up over `config.warmup` steps, none if 0, then a cosine down to a hundredth, or steps by tenths
    (`config.decay_every`).
    """
    risen = min(1.0, (step + 1) / max(1, config.warmup))
    if config.decay_every > 0:
        return float(risen * 0.1 ** (step // config.decay_every))
    return risen * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
