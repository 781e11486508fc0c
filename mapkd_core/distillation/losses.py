# SPDX-License-Identifier: Apache-2.0
"""Losses that several schemes share. S student, T teacher; B batch, C channels, K classes, Y X cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core import over_ranks


def single_precision(tensor: Tensor) -> torch.autocast:
    """A context in which products of `tensor` keep its precision: autocast would round them to 8 bits, which is as
    much as what relations of features differ by.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def adapter(channels: int, wanted: int) -> nn.Module:
    """1x1 convolution to the teacher's number of channels; learned with the student, dropped with the scheme."""
    return nn.Conv2d(channels, wanted, 1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of B K Y X over the cells where mask, B Y X, is true; 0 where it is nowhere. See `over_ranks`."""
    chosen = mask.unsqueeze(1).to(values.dtype)
    return (values * chosen).sum() / over_ranks.divisor(chosen.sum() * values.shape[1])


def response_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """t^2 KL(T || S) of the class distributions of every cell (Hinton, arXiv 1503.02531), mean over cells."""
    log_s = (student / temperature).log_softmax(1)
    log_t = (teacher / temperature).log_softmax(1)
    return temperature**2 * (log_t.exp() * (log_t - log_s)).sum(1).mean()


def row_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(T || S) of distributions along the last axis, mean over all others."""
    safe = torch.finfo(student.dtype).tiny
    return (teacher * (teacher.clamp(min=safe).log() - student.clamp(min=safe).log())).sum(-1).mean()


def square_distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference, in single precision even where autocast made halves of both."""
    return functional.mse_loss(one.float(), other.float())
