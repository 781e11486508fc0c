# SPDX-License-Identifier: Apache-2.0
"""What losses and batch norms sum over the processes that train one network, so that all learn as one from all frames.

DistributedDataParallel takes the mean of the gradients of W processes. It is the gradient of the mean over the frames
of all where each process divides its sum by the W-th part of the whole count (`divisor`), and not by a count of its
own; a ratio of sums needs the sums of all (`total`). Means over shares of one size need nothing.

Every process of the group has to ask in the same order, also with a share that has nothing to count. Nobody is asked
without gradients: what a process evaluates under `no_grad` is its own affair. Where it is alone, nothing changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm


def several() -> bool:
    """Whether this process learns together with others."""
    return torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized()


def divisor(count: Tensor) -> Tensor:
    """Of a process's sum, for a mean over what all processes count; they count at least one, together."""
    if not several():
        return count.clamp(min=1)
    return _sum(count.detach().float()).clamp(min=1) / distributed.get_world_size()


def mean(value: Tensor) -> Tensor:
    """Of what the processes found in shares of one size, without a gradient; to divide by, where it is no count."""
    return _sum(value.detach().float()) / distributed.get_world_size() if several() else value


def total(values: Tensor) -> Tensor:
    """The sum over the processes, for a loss that each computes from it in the same way."""
    summed: Tensor = _Total.apply(values) if several() else values
    return summed


class _Total(torch.autograd.Function):
    """Each process has the same gradient of the sum. W times it, and the mean of W processes is its share of the sum.

    An all_reduce backwards would give the same, but at a time at which DistributedDataParallel sends gradients.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * distributed.get_world_size()


def _sum(values: Tensor) -> Tensor:
    summed = values.clone()
    distributed.all_reduce(summed)
    return summed


class SharedNorm(BatchNorm):
    """B C ... -> the same: batch norm over all processes, for CPUs. PyTorch's own are for GPUs."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Of any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not several():
            normed: Tensor = super().forward(x)
            return normed
        from torch.distributed.nn.functional import all_reduce  # which not every build of PyTorch has

        channels = [1, -1, *(1 for _ in x.shape[2:])]
        others = [axis for axis in range(x.ndim) if axis != 1]
        values = x.float()
        # All shares may be empty, as of LiDAR points that every frame has lost.
        found = _sum(values.new_tensor(values.numel() / self.num_features))
        count = found.clamp(min=1)
        mean = all_reduce(values.sum(others)) / count
        away = values - mean.view(channels)
        variance = all_reduce(away.square().sum(others)) / count
        if found > 1:
            self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (away * scale.view(channels) + self.bias.view(channels)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
