# SPDX-License-Identifier: Apache-2.0
"""The machine that was measured on, its load, and the two ceilings of a roofline: convolutions and memory."""

from __future__ import annotations

import os
import platform

import torch
from torch.nn import functional

from mapkd_core.bench.processor import processor
from mapkd_core.bench.timing import interleaved

COPY_BYTES = 64 << 20  # more than the caches hold


def describe(threads: int) -> dict[str, object]:
    """Processor, cores, threads and versions.

    Virtual machines give processors of several generations one name: the vectors that PyTorch found stand behind it.
    """
    return {
        "processor": f"{processor()} ({torch.backends.cpu.get_cpu_capability()})",
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": _onnxruntime(),
    }


def describe_gpu(device: str) -> dict[str, object]:
    """Name, memory and versions of a GPU that is there: cuda or cuda:N."""
    found = torch.cuda.get_device_properties(device)
    return {
        "gpu": found.name,
        "gpu_memory_gib": round(found.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def load() -> float:
    """Runnable processes, averaged over the last minute; 0 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


@torch.inference_mode()
def ceilings(repeats: int = 10) -> dict[str, float]:
    """conv_gflops: the best of two 3x3 convolutions. bandwidth_gbs: reading and writing in a copy larger than caches.

    The best round counts: a ceiling is what the machine can do, not what it did beside other work.
    """
    wide = torch.randn(1, 256, 50, 100)
    tall = torch.randn(6, 128, 16, 88).contiguous(memory_format=torch.channels_last)
    wide_kernel = torch.randn(256, 256, 3, 3)
    tall_kernel = torch.randn(128, 128, 3, 3).contiguous(memory_format=torch.channels_last)
    source = torch.ones(COPY_BYTES // 4)
    target = torch.empty_like(source)
    calls = {
        "wide": lambda: functional.conv2d(wide, wide_kernel, padding=1),
        "tall": lambda: functional.conv2d(tall, tall_kernel, padding=1),
        "copy": lambda: target.copy_(source),
    }
    best = {name: min(times) * 1e-3 for name, times in interleaved(calls, repeats, warm_up=2).items()}
    work = {"wide": 2 * 9 * 256 * wide.numel(), "tall": 2 * 9 * 128 * tall.numel()}
    return {
        "conv_gflops": round(max(work[name] / best[name] for name in work) / 1e9, 1),
        "bandwidth_gbs": round(2 * COPY_BYTES / best["copy"] / 1e9, 1),
    }


def _onnxruntime() -> str | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    return str(onnxruntime.__version__)
