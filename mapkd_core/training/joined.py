# SPDX-License-Identifier: Apache-2.0
"""Processes of torchrun's over a whole command, which may train several networks.

They make one group and stay in it: were a second one made after it, a quick process would find the addresses of the
first in torchrun's store and wait for nobody. What one process does alone comes before, since losses and norms ask all
others as soon as there is a group; that it is through is then told by the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed

from mapkd_core.training import parallel
from mapkd_core.training.parallel import PATIENCE, Group


@contextmanager
def joined() -> Iterator[Group]:
    """The group that this process is in already, or a new one for the block."""
    if not (distributed.is_available() and distributed.is_initialized()):
        with parallel.group() as group:
            yield group
        return
    yield Group(distributed.get_rank(), distributed.get_world_size(), own_device())


def own_device() -> torch.device:
    """What this process works on."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if _is_several() else torch.device("cuda")


def by_the_first(work: Callable[[], None]) -> None:
    """The first process works, the others wait until it is through; it begins when all are here.

    Before there is a group. An error ends the first process, and torchrun the others.
    """
    if not _is_several():
        work()
        return
    assert not distributed.is_initialized(), "losses would ask processes that wait"
    store, rank, size = next(iter(distributed.rendezvous("env://", timeout=PATIENCE)))
    time = store.add(f"mapkd/times/{rank}", 1)  # a command may come here again
    store.set(f"mapkd/{time}/here/{rank}", "")
    if rank == 0:
        store.wait([f"mapkd/{time}/here/{other}" for other in range(size)], PATIENCE)
        work()
        store.set(f"mapkd/{time}/through", "")
    store.wait([f"mapkd/{time}/through"], PATIENCE)


def _is_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
