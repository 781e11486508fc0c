# SPDX-License-Identifier: Apache-2.0
"""What a call allocates and copies, counted and never timed: the same on every machine, so a test may insist on it.

numpy, OpenCV's arrays, simplejpeg, bytes and array.array all take their memory where `tracemalloc` sees it, PyTorch
does not: `Allocations` counts the former, `TorchCopies` what PyTorch moves without computing.
"""

from __future__ import annotations

import sys
import threading
import tracemalloc
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LEAST_BYTES = 60_000  # less than any picture, raster or table of a frame; more than 50 found lines take
_MOVES = {"to", "_to_copy", "copy_", "clone", "contiguous", "reshape", "flatten", "unflatten", "stack", "repeat"}


class Large(NamedTuple):
    """size: bytes. where: the call during which they were taken, or the function that had just begun or ended."""

    size: int
    where: str


class Allocations:
    """Context manager: every allocation of at least `least` bytes, those too that are freed at once.

    Between any two calls of Python or C functions it reads by how much the memory has been larger in between; so two
    arrays in one call count as one of both sizes. It sees threads that begin inside of it. peak: bytes at the fullest.
    """

    def __init__(self, least: int = LEAST_BYTES) -> None:
        self.found: list[Large] = []
        self.peak = 0
        self._least, self._where, self._begin, self._held = least, "", 0, 0
        self._lock = threading.RLock()

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return sum(large.size for large in self.found)

    def __repr__(self) -> str:
        return "\n" + "\n".join(f"{large.size:>9,} bytes: {large.where}" for large in self.found)

    def __enter__(self) -> Allocations:
        self._before = sys.getprofile(), threading.getprofile() if hasattr(threading, "getprofile") else None
        tracemalloc.start()
        self._begin = self._held = tracemalloc.get_traced_memory()[0]
        threading.setprofile(self._look)
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before[0])
        threading.setprofile(self._before[1])
        tracemalloc.stop()

    def _look(self, frame: FrameType, event: str, called: Any) -> None:
        with self._lock:
            _, peak = tracemalloc.get_traced_memory()
            if peak - self._held >= self._least:
                self.found.append(Large(peak - self._held, self._where))
            self.peak = max(self.peak, peak - self._begin)
            name = getattr(called, "__qualname__", "?") if event.startswith("c_") else frame.f_code.co_name
            self._where = f"{event} {name}, {frame.f_code.co_filename}:{frame.f_lineno}"
            tracemalloc.reset_peak()
            self._held = tracemalloc.get_traced_memory()[0]


class TorchCopies(TorchDispatchMode):
    """Context manager: what PyTorch copies, moves or converts, of at least `least` bytes, whoever asks for it.

    A `to` or `reshape` that finds nothing to do hands back the same memory and is no copy. made: bytes of all results
    in memory of their own, computed ones too.
    """

    def __init__(self, least: int = LEAST_BYTES) -> None:
        super().__init__()
        self.found: list[Large] = []
        self.made = 0
        self._least = least

    def __repr__(self) -> str:
        return "\n" + "\n".join(f"{large.size:>9,} bytes: {large.where}" for large in self.found)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_place(t) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        for tensor in (t for t in tree_leaves(result) if isinstance(t, torch.Tensor)):
            is_new = _place(tensor) not in given
            self.made += tensor.nbytes if is_new else 0
            if name in _MOVES and (is_new or name == "copy_") and tensor.nbytes >= self._least:
                self.found.append(Large(tensor.nbytes, f"{name} -> {tuple(tensor.shape)} {tensor.dtype}"))
        return result


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
