# SPDX-License-Identifier: Apache-2.0
"""The network on a vehicle: pictures and plan in, probabilities and polylines out; by the runtime that is asked for.

N cameras, K classes, Y X canvas cells, Q queries, P points.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.data.tensor_images import TensorImages
from mapkd_core.models.deployed import Deployed, can_deploy
from mapkd_core.models.map_model import MapModel

logger = logging.getLogger(__name__)

# images N 3 H W uint8, plan -> probability K Y X uint8, scores Q K, points Q P 2 in [0, 1]. On a GPU images may be
# TensorImages. PyTorch's takes as a third argument what teachers know beside the pictures, in the order of MapModel.
Runner = Callable[..., tuple[NDArray, NDArray, NDArray]]
CPU_BACKENDS = ("onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8", "compiled", "aot")
GPU_BACKENDS = {"cuda": "fp32", "cuda-tf32": "tf32", "cuda-bf16": "bf16", "cuda-fp16": "fp16"}  # and their precision
BACKENDS = ("auto", "torch", *CPU_BACKENDS, *GPU_BACKENDS)


class Inference(nn.Module):
    """1 N 3 H W uint8 and the plan -> probability 1 K Y X uint8, scores 1 Q K in 0..1, points 1 Q P 2.

    known: points, sd, hd and frustum as MapModel takes them, for teachers.
    """

    def __init__(self, model: MapModel) -> None:
        super().__init__()
        self.model: nn.Module = Deployed(model) if can_deploy(model) else model

    def forward(self, images: Tensor, plan: Tensor, *known: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if isinstance(self.model, Deployed):
            probability, scores, points = self.model(images, plan)
        else:
            output = self.model(images, plan, *known)
            scores, points = output.queries[-1]
            probability = output.semantic.softmax(1)[:, 1:]
        if probability.dtype != torch.float32:  # of autocast: 255.5 is 256 in bf16, and that is 0 as a byte
            probability = probability.float()
        return (probability * 255 + 0.5).to(torch.uint8), scores.sigmoid(), points


def make_runner(
    model: MapModel, backend: str, device: str, card: Mapping[str, Any], threads: int | None = None
) -> Runner:
    """The runner of `backend`; auto takes the fastest on this device of those that are known to be good.

    card: of the weights; its `sha256` names what is kept in the user's cache, its `miou_lost` says which runtimes that
    are not exact are good enough for them. Raises ValueError for a backend or a device that is not there, and for those
    that do not go together, or not with this network.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    device = device_of(backend, device)
    check_device(device, backend)
    if more := [name for name in model.config.modalities if name != "camera"]:
        if backend not in ("auto", "torch"):
            raise ValueError(
                f"backend {backend!r} runs cameras alone, this network knows {', '.join(more)}, too: use torch"
            )
        return torch_runner(model, device)
    is_captured = device != "cpu" and can_deploy(model)
    if backend in GPU_BACKENDS and not is_captured:
        raise ValueError(f"backend {backend!r} runs what `models.deployed` can rewrite, which this is not: use torch")
    if backend == "torch" or (device != "cpu" and not is_captured):
        return torch_runner(model, device)
    from mapkd_core.performance import ways  # which knows runtimes that need not be installed

    if backend == "auto":
        return ways.auto_runner(model, card, threads, device)
    return ways.runner(backend, model, card, threads, device)


def device_of(backend: str, device: str) -> str:
    """What `auto` means here: the GPU where the backend needs one, or there is one and the backend runs on it."""
    if device != "auto":
        return device
    is_gpu = backend in GPU_BACKENDS or (backend in ("auto", "torch") and torch.cuda.is_available())
    return "cuda" if is_gpu else "cpu"


def check_device(device: str, backend: str = "auto") -> None:
    """Raises ValueError for a device that is not there, or that the backend does not run on."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"unknown device {device!r}; known: auto, cpu, cuda, cuda:N")
    if device == "cpu":
        if backend in GPU_BACKENDS:
            raise ValueError(f"backend {backend!r} runs on a GPU; on the CPU use backend: auto or another one")
        return
    if backend in CPU_BACKENDS:
        known = ", ".join(GPU_BACKENDS)
        raise ValueError(f"backend {backend!r} runs on the CPU; on {device} use backend: auto, torch, {known}")
    if not torch.cuda.is_available():
        what = f"backend {backend!r}" if backend in GPU_BACKENDS else f"device {device!r}"
        raise ValueError(f"{what} asked for, but PyTorch sees no CUDA device; use device: cpu and backend: auto")
    if (torch.device(device).index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r} asked for, but PyTorch sees {torch.cuda.device_count()} CUDA devices")


def torch_runner(model: MapModel, device: str = "cpu") -> Runner:
    """Eager PyTorch on `device`."""
    network = Inference(model).eval().to(device, memory_format=torch.channels_last)

    def run(
        images: NDArray | TensorImages, plan: NDArray, known: Sequence[NDArray | None] = ()
    ) -> tuple[NDArray, NDArray, NDArray]:
        pictures = images.stacked(device) if isinstance(images, TensorImages) else torch.from_numpy(images).to(device)
        given = (None if x is None else torch.from_numpy(x)[None].to(device) for x in (plan, *known))
        with torch.inference_mode():
            outputs = network(pictures[None], *given)
        probability, scores, points = (o[0].cpu().numpy() for o in outputs)
        return probability, scores, points

    return run
