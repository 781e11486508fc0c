# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at best: memory bandwidth, large convolutions, and the network's own convolutions alone.

The roof of a roofline (Williams et al., CACM 2009) is the least of peak operations and bandwidth times intensity.
"""

from __future__ import annotations

import logging
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

logger = logging.getLogger(__name__)

ROOFS = {"fp32": "conv_gflops", "bf16": "conv_gflops_bf16", "int8": "conv_gflops_int8"}  # of convolutions, by precision
_LARGE = ((1, 256, 50, 100), (6, 128, 16, 88))  # inputs of the 3x3 convolutions of `machine.ceilings`


def measured(model: MapModel, images: NDArray, plan: NDArray, repeats: int = 5) -> dict[str, float]:
    """As `machine.ceilings` and `less_precise`, and the network's own convolutions with nothing between, in fp32."""
    return machine.ceilings(2 * repeats) | less_precise() | own_convolutions(model, images, plan, repeats)


@torch.inference_mode()
def less_precise(repeats: int = 10) -> dict[str, float | None]:
    """conv_gflops_bf16, conv_gflops_int8: the convolutions of `machine.ceilings` there; None where PyTorch has none."""
    roofs: dict[str, float | None] = {}
    for precision, prepared in (("bf16", _bf16), ("int8", _int8)):
        try:
            calls = {str(shape): prepared(shape) for shape in _LARGE}
            best = {name: min(times) for name, times in interleaved(calls, repeats, warm_up=2).items()}
        except (AttributeError, NotImplementedError, RuntimeError) as error:  # no oneDNN, another processor
            logger.warning("convolutions in %s are not measured: %s", precision, " ".join(str(error).split())[:200])
            roofs[f"conv_gflops_{precision}"] = None
            continue
        rates = [_operations(s, (s[1], s[1], 3, 3), (1, 1), (1, 1), (1, 1), 1) / best[str(s)] / 1e6 for s in _LARGE]
        roofs[f"conv_gflops_{precision}"] = round(max(rates), 1)
    return roofs


def _bf16(shape: tuple[int, ...]) -> Callable[[], object]:
    x = torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(shape[1], shape[1], 3, 3).bfloat16().contiguous(memory_format=torch.channels_last)
    return lambda: functional.conv2d(x, kernel, padding=1)


def _int8(shape: tuple[int, ...]) -> Callable[[], object]:
    """oneDNN's convolution of bytes by signed bytes to bytes, as PyTorch's compiler calls it for quantised networks."""
    ops, channels, one = torch.ops.onednn, shape[1], [1, 1]
    x = torch.randint(0, 256, shape, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    kernel = torch.randint(-127, 128, (channels, channels, 3, 3), dtype=torch.int8)
    scales, zeros = torch.full((channels,), 0.02), torch.zeros(channels, dtype=torch.int32)
    packed = ops.qconv_prepack(kernel, scales, 0.05, 128, one, one, one, 1, list(shape))
    after = (None, one, one, one, 1, 1.0, 128, torch.uint8, "none", [], "")
    return lambda: ops.qconv2d_pointwise(x, 0.05, 128, packed, scales, zeros, *after)


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
