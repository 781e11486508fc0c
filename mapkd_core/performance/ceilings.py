# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at best: memory bandwidth, large convolutions, and the network's own convolutions alone.

The roof of a roofline (Williams et al., CACM 2009) is the least of peak operations and bandwidth times intensity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.bench import machine
from mapkd_core.bench.timing import interleaved
from mapkd_core.models.deployed import Deployed
from mapkd_core.models.map_model import MapModel


def measured(model: MapModel, images: NDArray, plan: NDArray, repeats: int = 5) -> dict[str, float]:
    """conv_gflops and bandwidth_gbs as `machine.ceilings`, and the network's own convolutions with nothing between."""
    return machine.ceilings(2 * repeats) | own_convolutions(model, images, plan, repeats)


@torch.inference_mode()
def own_convolutions(model: MapModel, images: NDArray, plan: NDArray, repeats: int = 5) -> dict[str, float]:
    """Every convolution of the rewritten network on random tensors of its shape, by PyTorch's own kernels."""
    counted, calls = shapes(Deployed(model).eval(), torch.from_numpy(images)[None], torch.from_numpy(plan)[None]), {}
    for shape in counted:
        calls[str(shape)] = _call(*shape)
    best = {name: min(times) for name, times in interleaved(calls, repeats).items()}
    total_ms = sum(best[str(shape)] * times for shape, times in counted.items())
    flops = sum(_operations(*shape) * times for shape, times in counted.items())
    return {"own_conv_ms": round(total_ms, 3), "own_conv_gflops": round(flops / total_ms / 1e6, 1)}


def shapes(network: nn.Module, *inputs: Tensor) -> dict[tuple[Any, ...], int]:
    """(input shape, weight shape, stride, padding, dilation, groups) -> how many convolutions have it."""
    found: dict[tuple[Any, ...], int] = {}

    def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        key = (
            tuple(given[0].shape), tuple(module.weight.shape), module.stride, module.padding, module.dilation,
            module.groups,
        )  # fmt: skip
        found[key] = found.get(key, 0) + 1

    hooks = [m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _call(given: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Callable[[], object]:
    x = torch.randn(given).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(weight).contiguous(memory_format=torch.channels_last)
    return lambda: functional.conv2d(x, kernel, None, stride, padding, dilation, groups)


def _operations(given: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> int:
    spread = [d * (k - 1) + 1 for d, k in zip(dilation, weight[2:])]
    size = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(given[2:], padding, spread, stride)]
    return int(2 * given[0] * size[0] * size[1] * weight[0] * weight[1] * weight[2] * weight[3])


def floor_ms(cost: dict[str, float], ceilings: dict[str, float]) -> float:
    """The least time for gflop and moved_mb under the ceilings; what is slower, work or traffic."""
    work = cost["gflop"] / ceilings["conv_gflops"] * 1e3
    return float(f"{max(work, cost['moved_mb'] / ceilings['bandwidth_gbs']):.4g}")
