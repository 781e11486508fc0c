# SPDX-License-Identifier: Apache-2.0
"""What is read off a GPU: times by its own clock, waits and memory. On a CPU times by the host's clock, and no more."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable

import torch


def elapsed_ms(call: Callable[[], object], device: torch.device) -> float:
    """Milliseconds from the first to the last of what `call` queues on the device's current stream; waits for it.

    The device is idle before, so that the time of launching is part of it.
    """
    if device.type != "cuda":
        start = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - start)
    stream = torch.cuda.current_stream(device)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record(stream)
    call()
    end.record(stream)
    end.synchronize()
    return float(begin.elapsed_time(end))


def waits(call: Callable[[], object], device: torch.device) -> int | None:
    """How often PyTorch stops the host in `call` until the device is done, waits for an event aside; None on a CPU.

    A library that waits in its own code, such as a decoder, is not noticed.
    """
    if device.type != "cuda":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)


class Memory:
    """Of the device, beyond what was taken when this was made; the CUDA context counts as taken before."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._is_cuda = device, device.type == "cuda"
        self._free = torch.cuda.mem_get_info(device)[0] if self._is_cuda else 0

    def restart(self) -> None:
        """Give back what nobody uses any more; peaks count from here."""
        gc.collect()
        if self._is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)

    def peak_mib(self) -> dict[str, float] | None:
        """allocated: by tensors, at most. reserved: by PyTorch for them, at most. taken: now, by libraries, too."""
        if not self._is_cuda:
            return None
        found = {
            "allocated": torch.cuda.max_memory_allocated(self._device),
            "reserved": torch.cuda.max_memory_reserved(self._device),
            "taken": self._free - torch.cuda.mem_get_info(self._device)[0],
        }
        return {name: round(count / 2**20, 1) for name, count in found.items()}
