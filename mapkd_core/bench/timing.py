# SPDX-License-Identifier: Apache-2.0
"""Wall times of several things measured in turns, so that a busy moment of the machine falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def interleaved(calls: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Milliseconds of each of `repeats` rounds; a round runs every call once. Warm-up rounds do not count."""
    if repeats < 1:
        raise ValueError(f"repeats = {repeats}: at least one round is needed")
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(warm_up + repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_ >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def spread(times_ms: Sequence[float]) -> dict[str, float]:
    """Median, tenth and ninetieth percentile in milliseconds, and how many times they stand for."""
    p10, median, p90 = np.percentile(times_ms, (10, 50, 90))
    return {"median": _short(median), "p10": _short(p10), "p90": _short(p90), "repeats": len(times_ms)}


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch works with `count` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _short(milliseconds: float) -> float:
    return float(f"{milliseconds:.4g}")
