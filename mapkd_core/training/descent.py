# SPDX-License-Identifier: Apache-2.0
"""A step of the optimizer that leaves the weights alone where a loss or its gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from mapkd_core.data.samples import SampleFolder


def descend(
    total: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer, clip: float, *, told: Mapping[str, float],
    frames: Callable[[], str],
) -> None:  # fmt: skip
    """One step down `total`, with gradients cut to the norm `clip`.

    told: the losses of all processes, with their `total`. frames: their names, asked for only by an error. Raises
    FloatingPointError, before any weight changes, for a loss and for a norm of its gradient that are not finite.
    """
    if not math.isfinite(told["total"]):  # not this process's own: all stop together
        raise FloatingPointError(f"loss is not finite: {told} {_remedy(frames)}")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), clip))
    if not math.isfinite(norm):
        raise FloatingPointError(f"gradient is not finite: its norm is {norm}, the loss {told} {_remedy(frames)}")
    optimizer.step()


def names(folder: str, rows: Iterable[int]) -> str:
    """Frames of a folder by rows of its TrainingSet, whose variants follow each other, as an error tells them."""
    samples = SampleFolder(folder)
    return ", ".join(f"{folder}/{samples.token(row % len(samples))}" for row in rows)


def _remedy(frames: Callable[[], str]) -> str:
    return f"on the frames {frames()}; lower learning_rate or look at them"
