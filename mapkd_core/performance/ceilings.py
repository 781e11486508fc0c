# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at best: memory bandwidth, large convolutions, and the network's own convolutions alone.

The roof of a roofline (Williams et al., CACM 2009) is the least of peak operations and bandwidth times intensity.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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


def less_precise(repeats: int = 10) -> dict[str, float | None]:
    """conv_gflops_bf16, conv_gflops_int8: the best round of the convolutions there; None where PyTorch has none."""
    calls = large(("bf16", "int8"))
    times = interleaved({name: call.run for name, call in calls.items()}, repeats, warm_up=2) if calls else {}
    found = rates(calls, times, min)
    return {ROOFS[precision]: found.get(ROOFS[precision]) for precision in ("bf16", "int8")}


@dataclass(frozen=True)
class Large:
    """A large convolution. run: does it once. gflop: its operations. precision: a key of ROOFS."""

    run: Callable[[], object]
    gflop: float
    precision: str


@torch.inference_mode()
def large(precisions: Iterable[str] = ROOFS) -> dict[str, Large]:
    """By name, those that this machine's PyTorch runs: to be timed in turns with what is to be under their roof."""
    calls = {}
    for precision in precisions:
        for shape in _LARGE:
            try:
                run = torch.inference_mode()(_PREPARED[precision](shape))
                run()
            except (AttributeError, NotImplementedError, RuntimeError) as error:  # no oneDNN, another processor
                told = " ".join(str(error).split())[:200]
                logger.warning("convolutions in %s are not measured: %s", precision, told)
                break
            gflop = _operations(shape, (shape[1], shape[1], 3, 3), (1, 1), (1, 1), (1, 1), 1) / 1e9
            calls[f"{precision} {shape}"] = Large(run, gflop, precision)
    return calls


def rates(
    calls: Mapping[str, Large], times: Mapping[str, Sequence[float]], of: Callable[[Sequence[float]], float]
) -> dict[str, float]:
    """GFLOP/s by ROOFS: of the best convolution in each precision. of: the round that counts, min or median, of ms."""
    found: dict[str, float] = {}
    for name, call in calls.items():
        rate = round(1e3 * call.gflop / of(times[name]), 1)
        found[ROOFS[call.precision]] = max(rate, found.get(ROOFS[call.precision], 0.0))
    return found


def _fp32(shape: tuple[int, ...]) -> Callable[[], object]:
    x, kernel = torch.randn(shape), torch.randn(shape[1], shape[1], 3, 3)
    if shape[0] > 1:  # as `machine.ceilings` has it
        x, kernel = (array.contiguous(memory_format=torch.channels_last) for array in (x, kernel))
    return lambda: functional.conv2d(x, kernel, padding=1)


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


_PREPARED = {"fp32": _fp32, "bf16": _bf16, "int8": _int8}


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
