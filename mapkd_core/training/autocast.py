# SPDX-License-Identifier: Apache-2.0
"""Which arithmetic a run trains in: bf16 where the device computes it, else single precision."""

from __future__ import annotations

from functools import cache

import torch

from mapkd_core.config import TrainConfig

AUTO, BF16, FP32 = "auto", "bf16", "fp32"


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """A context in which networks run as `config.precision` says. Raises ValueError for an unknown one."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision_of(config, device) == BF16)


def precision_of(config: TrainConfig, device: torch.device) -> str:
    """`config.precision`, or what `auto` comes to on this device. Raises ValueError for an unknown one."""
    if config.precision not in (AUTO, BF16, FP32):
        raise ValueError(f"precision = {config.precision!r}; known: {AUTO}, {BF16}, {FP32}")
    if config.precision != AUTO:
        return config.precision
    return BF16 if (_gpu_computes_bf16() if device.type == "cuda" else computes_bf16()) else FP32


@cache
def computes_bf16() -> bool:
    """Whether this processor has instructions for it; others take six times as long as for single precision."""
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16"))  # the last is Arm's
    older = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(older and older())


def _gpu_computes_bf16() -> bool:
    """Older ones than Ampere emulate it."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
