# SPDX-License-Identifier: Apache-2.0
"""The GPU path: pinned staging, a stream of its own, one captured CUDA graph a frame, and one synchronisation.

Per frame the host fills two pinned buffers, queues copy, graph and copy back, and waits once. Pictures that are on the
device already (`data.tensor_images`) go into the graph's input from there, behind their decoder. On a CPU the same code
runs without pinning, stream and graph, which is how it is tested where there is no GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.data.tensor_images import TensorImages
from mapkd_core.models.inference import Runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.performance.precision import arithmetic, network_for

_WARM_UP = 3  # runs before the capture, so that libraries have made their choices


def staged_runner(model: MapModel, device: str, precision: str = "fp32") -> Runner:
    """precision: one of `precision.PRECISIONS`. Raises ValueError for another one."""
    place = torch.device(device)
    network = network_for(model, place, precision)
    stages: dict[tuple[int, ...], Stage] = {}

    def run(images: NDArray | TensorImages, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        if images.shape not in stages:
            stages[images.shape] = Stage(network, images, plan, place, precision)
        return stages[images.shape](images, plan)

    return run


class Stage:
    """Buffers, stream and graph for pictures and plans of one shape.

    A call is a frame; `upload`, `forward` and `download` inside `on_stream` are its steps, for those who time them.
    copies: how many transfers between host and device a frame has made so far; the guard of the tests.
    """

    def __init__(
        self,
        network: nn.Module,
        images: NDArray | TensorImages,
        plan: NDArray,
        device: torch.device,
        precision: str = "fp32",
    ) -> None:
        self._network, self._device, self._precision = network, device, precision
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
        with self.on_stream():
            for _ in range(_WARM_UP if self._is_cuda else 1):
                self.forward()
        if self._is_cuda:
            self._capture()
        self._answers = [self._pinned(o.shape, o.dtype) for o in self._outputs]

    def __call__(self, images: NDArray | TensorImages, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        self.copies = 0
        np.copyto(self._host[1].numpy()[0], plan)
        with self.on_stream():
            if isinstance(images, TensorImages):
                self.copies += images.write_to(self._inputs[0][0], self._host[0][0])
                self._move(self._inputs[1:], self._host[1:])
            else:
                np.copyto(self._host[0].numpy()[0], images)
                self.upload()
            self.forward()
            self.download()
        if self._stream is not None:
            self._stream.record_event().synchronize()  # PyTorch's debug mode tells of all other waits, and not of this
        probability, scores, points = (a[0].numpy().copy() for a in self._answers)  # the buffers serve the next frame
        return probability, scores, points

    @property
    def transferred_bytes(self) -> tuple[int, int]:
        """By `upload` and by `download`."""
        return sum(t.nbytes for t in self._host), sum(t.nbytes for t in self._answers)

    @contextlib.contextmanager
    def on_stream(self) -> Iterator[None]:
        """What is queued inside the block goes to this stage's own stream."""
        stream = torch.cuda.stream(self._stream) if self._is_cuda else contextlib.nullcontext()
        with stream, torch.inference_mode():
            yield

    def upload(self) -> None:
        """Queue pictures and plan from the pinned buffers to the device."""
        self._move(self._inputs, self._host)

    def forward(self) -> None:
        """Queue the network: the graph, where it is captured."""
        if self._graph is None:
            self._outputs = self._run()
        else:
            self._graph.replay()

    def download(self) -> None:
        """Queue the three answers to the pinned buffers."""
        self._move(self._answers, list(self._outputs))

    def _run(self) -> tuple[Tensor, ...]:
        with arithmetic(self._precision, self._device, is_searched=True):  # shapes stay; found before the capture
            probability, scores, points = self._network(*self._inputs)
        return probability, scores.float(), points.float()

    def _capture(self) -> None:
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # thread_local: the node's threads decode meanwhile, and what they allocate must not break the capture.
        capture = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
        with torch.inference_mode(), capture:
            self._outputs = self._run()
        self._graph = graph

    def _move(self, targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source, non_blocking=True)
            self.copies += 1

    def _pinned(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=self._is_cuda)
