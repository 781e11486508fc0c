# SPDX-License-Identifier: Apache-2.0
"""Precisions of the network on a GPU.

fp32 is exact. tf32 lets convolutions round what they multiply to 10 bits, which PyTorch does unless it is told not to.
bf16 and fp16 are autocast's: convolutions and linear layers in half of the bits, what is sensitive in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mapkd_core.models.inference import Inference
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.mobilenet import Depthwise

PRECISIONS = {"fp32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def network_for(model: MapModel, device: torch.device, precision: str) -> nn.Module:
    """The network on the device, ready to run under `arithmetic` of that precision.

    Its weights are cast here, once, and not by autocast for every frame. Raises ValueError for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r}; known: {', '.join(PRECISIONS)}")
    network = Inference(model).eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    single = (Depthwise,) if device.type == "cpu" else ()  # these stay in single precision there
    if dtype := PRECISIONS[precision]:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not isinstance(module, single):
                module.to(dtype)
    return network


@contextmanager
def arithmetic(precision: str, device: torch.device, is_searched: bool | None = None) -> Iterator[None]:
    """What is run or captured inside the block is computed in that precision.

    is_searched: cuDNN tries its algorithms and takes the fastest; as PyTorch is set if absent.
    """
    now, dtype = torch.backends.cudnn, PRECISIONS[precision]
    searched = now.benchmark if is_searched is None else is_searched
    # Without this, PyTorch takes TF32 for convolutions in single precision.
    flags = now.flags(now.enabled, searched, deterministic=now.deterministic, allow_tf32=precision == "tf32")
    with flags, torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False):
        yield
