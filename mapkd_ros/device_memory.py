# SPDX-License-Identifier: Apache-2.0
"""Memory of the device: when it ran out, and how what nobody uses any more is given back."""

from __future__ import annotations

import gc
import sys
import traceback


def ran_out(error: Exception) -> bool:
    """Whether this is for want of memory, of the device or of the host."""
    torch = sys.modules.get("torch")  # only where it is there already: its import takes seconds
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.cuda.OutOfMemoryError))


def release(error: Exception | None = None) -> None:
    """Free what is no longer used, and PyTorch's cache of it.

    error: the locals of the calls that it ended are let go, too; otherwise it would hold their tensors.
    """
    if error is not None:
        traceback.clear_frames(error.__traceback__)
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
