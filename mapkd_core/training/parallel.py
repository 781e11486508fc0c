# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one network, started by torchrun; without it, the one process is rank 0 of 1.

`batch` is the frames of a step over all processes: a run takes the same steps on the same frames however many share
them. Gradients are averaged by DistributedDataParallel, batch norms are synchronised, and losses are normalised by what
all processes count (`over_ranks`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.parallel import DistributedDataParallel

from mapkd_core.over_ranks import SharedNorm

PATIENCE = timedelta(hours=24)  # the first process computes the teachers' answers to all frames while the others wait


@dataclass(frozen=True)
class Group:
    """rank: of this process. size: how many there are. device: what it works on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Files are written by one process."""
        return self.rank == 0

    def local_batch(self, batch: int) -> int:
        """Frames a step of this process. Raises ValueError where they cannot be shared evenly."""
        if batch % self.size:
            raise ValueError(f"batch = {batch} frames cannot be shared by {self.size} processes: take a multiple")
        return batch // self.size

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network with averaged gradients; itself where this process is alone."""
        if self.size == 1:
            return network
        places = [self.device] if self.device.type == "cuda" else None
        # A network of layers has heads that nobody asks, and a frame may have no LiDAR points.
        return DistributedDataParallel(network, device_ids=places, find_unused_parameters=True)

    def norms(self, network: nn.Module) -> nn.Module:
        """Batch norms over all processes, in place; parameters and their names stay."""
        if self.size == 1:
            return network
        if self.device.type == "cuda":
            synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            return synchronised
        for layer in network.modules():
            if isinstance(layer, BatchNorm):
                layer.__class__ = SharedNorm  # which has the same parameters and buffers
        return network

    def total(self, values: Tensor) -> Tensor:
        """Sum over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def first_says(self, values: Tensor) -> Tensor:
        """Rank 0's values, in place."""
        if self.size > 1:
            distributed.broadcast(values, 0)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Group(0, 1, torch.device("cpu"))


@contextmanager
def group() -> Iterator[Group]:
    """This process among those that torchrun started; they say good-bye to each other at the end."""
    has_gpu = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield Group(0, 1, torch.device("cuda" if has_gpu else "cpu"))
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if has_gpu else "gloo", timeout=PATIENCE)
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()
