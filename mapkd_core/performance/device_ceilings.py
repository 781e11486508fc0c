# SPDX-License-Identifier: Apache-2.0
"""What a GPU can do at best: large convolutions in each precision, its memory, and the way up from the host and down.

`ceilings` is the same for a CPU. The best round counts, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn import functional

from mapkd_core.performance import ceilings
from mapkd_core.performance.device_probe import elapsed_ms
from mapkd_core.performance.precision import PRECISIONS, arithmetic

CONVOLUTION = (8, 512, 128)  # pictures, channels in and out, rows and columns: work for all of a large GPU
COPY_BYTES = 512 << 20  # more than its caches hold


@torch.inference_mode()
def measured(device: torch.device, precisions: Iterable[str] = PRECISIONS, repeats: int = 10) -> dict[str, Any]:
    """conv_gflops by precision; bandwidth_gbs: read and written by a copy on the device; up_gbs, down_gbs: pinned."""
    convolved = {precision: _conv_gflops(precision, device, repeats) for precision in precisions}
    there, beside = (torch.zeros(COPY_BYTES, dtype=torch.uint8, device=device) for _ in range(2))
    here = torch.zeros(COPY_BYTES, dtype=torch.uint8, pin_memory=device.type == "cuda")
    copies: dict[str, tuple[int, Callable[[], object]]] = {
        "bandwidth_gbs": (2 * COPY_BYTES, lambda: beside.copy_(there)),
        "up_gbs": (COPY_BYTES, lambda: there.copy_(here, non_blocking=True)),
        "down_gbs": (COPY_BYTES, lambda: here.copy_(there, non_blocking=True)),
    }
    speeds = {name: round(size / _best_ms(call, device, repeats) / 1e6, 1) for name, (size, call) in copies.items()}
    return {"conv_gflops": convolved, **speeds}


def shares(
    row: Mapping[str, Any], costs: Mapping[str, Mapping[str, float]], roofs: Mapping[str, Any], precision: str
) -> dict[str, float]:
    """What the steps of `device_budget` have of `measured`; costs: by part of the network, as `parts.costs` tells.

    floor_ms: the parts one after the other; bf16 and fp16 move half of the bytes.
    """
    roof = {"conv_gflops": roofs["conv_gflops"][precision], "bandwidth_gbs": roofs["bandwidth_gbs"]}
    moved = 0.5 if PRECISIONS[precision] else 1.0
    floor_ms = sum(ceilings.floor_ms({**cost, "moved_mb": moved * cost["moved_mb"]}, roof) for cost in costs.values())
    gflop, taken_ms = sum(cost["gflop"] for cost in costs.values()), row["forward_ms"]["p50"]
    speed = gflop / taken_ms * 1e3
    return {
        "gflop": round(gflop, 3),
        "gflops": round(speed, 1),
        "share_of_ceiling": round(speed / roof["conv_gflops"], 4),
        "floor_ms": float(f"{floor_ms:.4g}"),
        "share_of_floor": round(floor_ms / taken_ms, 4),
        "share_of_up": round(row["up_mb"] / row["up_ms"]["p50"] / roofs["up_gbs"], 4),
        "share_of_down": round(row["down_mb"] / row["down_ms"]["p50"] / roofs["down_gbs"], 4),
    }


def _conv_gflops(precision: str, device: torch.device, repeats: int) -> float:
    pictures, channels, side = CONVOLUTION
    told = {"device": device, "dtype": PRECISIONS[precision] or torch.float32}
    x = torch.randn(pictures, channels, side, side, **told).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 3, 3, **told).contiguous(memory_format=torch.channels_last)
    with arithmetic(precision, device, is_searched=True):
        best_ms = _best_ms(lambda: functional.conv2d(x, kernel, padding=1), device, repeats)
    return round(2 * 9 * channels * x.numel() / best_ms / 1e6, 1)


def _best_ms(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    return min([elapsed_ms(call, device) for _ in range(repeats + 2)][2:])  # cuDNN searches in the first
