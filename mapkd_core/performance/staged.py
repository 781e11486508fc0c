# SPDX-License-Identifier: Apache-2.0
"""The GPU path: pinned staging, a stream of its own, one captured CUDA graph a frame, and one synchronisation.

Per frame the host fills two pinned buffers, queues copy, graph and copy back, and waits once. On a CPU the same code
runs without pinning, stream and graph, which is how it is tested where there is no GPU.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.models.inference import Inference, Runner
from mapkd_core.models.map_model import MapModel

PRECISIONS = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
_WARM_UP = 3  # runs before the capture, so that libraries have made their choices


def staged_runner(model: MapModel, device: str, precision: str = "fp32") -> Runner:
    """precision: fp32 (TF32 stays as PyTorch is set), fp16 or bf16 autocast. Raises ValueError for another one."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r}; known: {', '.join(PRECISIONS)}")
    network = Inference(model).eval().to(device, memory_format=torch.channels_last)
    stages: dict[tuple[int, ...], Stage] = {}

    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        if images.shape not in stages:
            stages[images.shape] = Stage(network, images, plan, torch.device(device), PRECISIONS[precision])
        return stages[images.shape](images, plan)

    return run


class Stage:
    """Buffers, stream and graph for pictures and plans of one shape.

    copies: how many transfers between host and device a frame has made so far; the guard of the tests.
    """

    def __init__(
        self, network: torch.nn.Module, images: NDArray, plan: NDArray, device: torch.device, dtype: torch.dtype | None
    ) -> None:
        self._network, self._device, self._dtype = network, device, dtype
        self._is_cuda = device.type == "cuda"
        self._host = [self._pinned(torch.from_numpy(a)[None]) for a in (images, plan)]
        self._inputs = [h.to(device, copy=True) for h in self._host]
        self._stream: Any = torch.cuda.Stream(device) if self._is_cuda else None
        self._graph: Any = None
        self.copies = 0
        with self._on_stream(), torch.inference_mode():
            for _ in range(_WARM_UP if self._is_cuda else 1):
                self._outputs = self._forward()
        if self._is_cuda:
            self._capture()
        self._answers = [self._pinned(o) for o in self._outputs]

    def __call__(self, images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        self.copies = 0
        for host, array in zip(self._host, (images, plan)):
            np.copyto(host.numpy()[0], array)
        with self._on_stream(), torch.inference_mode():
            self._move(self._inputs, self._host)
            if self._graph is None:
                self._outputs = self._forward()
            else:
                self._graph.replay()
            self._move(self._answers, list(self._outputs))
        if self._stream is not None:
            self._stream.synchronize()
        probability, scores, points = (a[0].numpy().copy() for a in self._answers)  # the buffers serve the next frame
        return probability, scores, points

    def _forward(self) -> tuple[Tensor, ...]:
        cast = (
            contextlib.nullcontext()
            if self._dtype is None
            else torch.autocast(self._device.type, self._dtype, cache_enabled=False)
        )
        with cast:
            probability, scores, points = self._network(*self._inputs)
        return probability, scores.float(), points.float()

    def _capture(self) -> None:
        self._stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph, stream=self._stream):
            self._outputs = self._forward()

    def _move(self, targets: list[Tensor], sources: list[Tensor]) -> None:
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source, non_blocking=True)
            self.copies += 1

    def _pinned(self, like: Tensor) -> Tensor:
        return torch.empty(like.shape, dtype=like.dtype, pin_memory=self._is_cuda)

    def _on_stream(self) -> Any:
        return torch.cuda.stream(self._stream) if self._is_cuda else contextlib.nullcontext()
