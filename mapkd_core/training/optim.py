# SPDX-License-Identifier: Apache-2.0
"""Optimizer and learning-rate schedule of a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from mapkd_core.config import TrainConfig
from mapkd_core.training.muon import Muon, parameter_groups


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """`config.optimizer`: muon or adamw. Raises ValueError for another name."""
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "muon":
        return Muon(groups, config.learning_rate)
    if config.optimizer == "adamw":
        plain = [{key: group[key] for key in ("params", "weight_decay")} for group in groups]
        return torch.optim.AdamW(plain, config.learning_rate, betas=(0.9, 0.98))
    raise ValueError(f"optimizer = {config.optimizer!r}; known: muon, adamw")


def schedule(step: int, share: float, config: TrainConfig) -> float:
    """Linear warm-up over `config.warmup` steps, none if 0, then a cosine down to a hundredth."""
    return min(1.0, (step + 1) / max(1, config.warmup)) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
