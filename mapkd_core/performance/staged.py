# SPDX-License-Identifier: Apache-2.0
"""The GPU path: pinned staging, a stream of its own, one captured CUDA graph a frame, and one synchronisation.

Per frame the host fills two pinned buffers, queues copy, graph and copy back, and waits once. Pictures that are on the
device already (`data.tensor_images`) go into the graph's input from there, behind their decoder. On a CPU the same code
runs without pinning, stream and graph, which is how it is tested where there is no GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.data.tensor_images import TensorImages
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

    def run(images: NDArray | TensorImages, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        if images.shape not in stages:
            stages[images.shape] = Stage(network, images, plan, torch.device(device), PRECISIONS[precision])
        return stages[images.shape](images, plan)

    return run


class Stage:
    """Buffers, stream and graph for pictures and plans of one shape.

    copies: how many transfers between host and device a frame has made so far; the guard of the tests.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        images: NDArray | TensorImages,
        plan: NDArray,
        device: torch.device,
        dtype: torch.dtype | None,
    ) -> None:
        self._network, self._device, self._dtype = network, device, dtype
        self._is_cuda = device.type == "cuda"
        self._host = [
            self._pinned((1, *images.shape), torch.uint8),
            self._pinned((1, *plan.shape), torch.from_numpy(plan).dtype),
        ]
        self._host[0].zero_()
        np.copyto(self._host[1].numpy()[0], plan)  # the runs before the capture look up by it
        self._inputs = [h.to(device, copy=True) for h in self._host]
        self._stream: Any = torch.cuda.Stream(device) if self._is_cuda else None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(device))
        self._graph: Any = None
        self.copies = 0
        with self._on_stream(), torch.inference_mode():
            for _ in range(_WARM_UP if self._is_cuda else 1):
                self._outputs = self._forward()
        if self._is_cuda:
            self._capture()
        self._answers = [self._pinned(o.shape, o.dtype) for o in self._outputs]

    def __call__(self, images: NDArray | TensorImages, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        self.copies = 0
        np.copyto(self._host[1].numpy()[0], plan)
        with self._on_stream(), torch.inference_mode():
            self._take(images)
            self._move(self._inputs[1:], self._host[1:])
            if self._graph is None:
                self._outputs = self._forward()
            else:
                self._graph.replay()
            self._move(self._answers, list(self._outputs))
        if self._stream is not None:
            self._stream.synchronize()
        probability, scores, points = (a[0].numpy().copy() for a in self._answers)  # the buffers serve the next frame
        return probability, scores, points

    def _take(self, images: NDArray | TensorImages) -> None:
        if isinstance(images, TensorImages):
            self.copies += images.write_to(self._inputs[0][0], self._host[0][0])
            return
        np.copyto(self._host[0].numpy()[0], images)
        self._move(self._inputs[:1], self._host[:1])

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
        # thread_local: the node's threads decode meanwhile, and what they allocate must not break the capture.
        capture = torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local")
        with torch.inference_mode(), capture:
            self._outputs = self._forward()

    def _move(self, targets: list[Tensor], sources: list[Tensor]) -> None:
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source, non_blocking=True)
            self.copies += 1

    def _pinned(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=self._is_cuda)

    def _on_stream(self) -> Any:
        return torch.cuda.stream(self._stream) if self._is_cuda else contextlib.nullcontext()
