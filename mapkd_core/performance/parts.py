# SPDX-License-Identifier: Apache-2.0
"""The student's forward pass in five parts, each as a graph of its own: counted, and timed where the whole runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.bench.cost import operations, parameters
from mapkd_core.models.deployed import Deployed
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import OPSET, session
from mapkd_core.performance import int8, openvino_runtime

Runtime: TypeAlias = Callable[[bytes, dict[str, NDArray], int | None], Callable[[], object]]  # graph, inputs, threads
PARTS = ("backbone", "view", "decoder", "raster head", "query head")


class Part(nn.Module):
    """One step of `Deployed` as a module."""

    def __init__(self, network: Deployed, step: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network  # owns the weights
        self.step = step

    def forward(self, *inputs: Tensor) -> Any:
        return self.step(*inputs)


def parts(model: MapModel, images: NDArray, plan: NDArray) -> Iterator[tuple[str, Part, tuple[Tensor, ...]]]:
    """Name, module and inputs of each part, in the order of the forward pass. images: N 3 H W uint8.

    Raises ValueError for a network that `Deployed` does not take.
    """
    network = Deployed(model).eval()
    table = torch.from_numpy(plan)[None]
    given: tuple[Tensor, ...] = (torch.from_numpy(images)[None],)
    with torch.no_grad():
        yield PARTS[0], Part(network, network.features), given
        given = (*network.features(*given), table)
        yield PARTS[1], Part(network, network.bev), given
        bev = network.bev(*given)
        yield PARTS[2], Part(network, network.decode), (bev,)
        full, half, quarter = network.decode(bev)
        yield PARTS[3], Part(network, lambda x: (network.raster(x) * 255 + 0.5).to(torch.uint8)), (full,)
        yield PARTS[4], Part(network, lambda *levels: network.query(levels)[-1]), (half, quarter)


def costs(model: MapModel, images: NDArray, plan: NDArray) -> dict[str, dict[str, float]]:
    """Per part: gflop, and the least megabytes that pass the memory: weights, inputs and outputs in fp32."""
    network = Deployed(model)
    owners = {
        "backbone": (network.camera, network.context),
        "view": () if network.detail is None else (network.detail,),
        "decoder": tuple(m for n, m in network.named_children() if n[:4] in ("stem", "down", "half", "full")),
        "raster head": (network.block, network.out),
        "query head": (network.query,),
    }
    found = {}
    for name, part, given in parts(model, images, plan):
        with torch.no_grad():
            answer = part(*given)
        tensors = [*given, *(answer if isinstance(answer, tuple) else (answer,))]
        moved = sum(t.nbytes for t in tensors) + 4 * sum(parameters(m) for m in owners[name])
        found[name] = {"gflop": round(operations(part, *given) / 1e9, 4), "moved_mb": round(moved / 1e6, 3)}
    return found


def calls(
    model: MapModel, images: NDArray, plan: NDArray, threads: int | None, backend: str = "onnx"
) -> dict[str, Callable[[], object]]:
    """Each part on its real inputs, ready to be timed; backend: one of `RUNTIMES`."""
    ready: dict[str, Callable[[], object]] = {}
    for name, part, given in parts(model, images, plan):
        names = [f"input{i}" for i in range(len(given))]
        file = BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(part, given, file, input_names=names, opset_version=OPSET, dynamo=False)
        feed = {n: np.ascontiguousarray(t.numpy()) for n, t in zip(names, given)}
        ready[name] = RUNTIMES[backend](file.getvalue(), feed, threads)
    return ready


def _onnx(graph: bytes, feed: dict[str, NDArray], threads: int | None) -> Callable[[], object]:
    run = session(graph, threads)
    return lambda: run.run(None, feed)


def _openvino(precision: str, graph: bytes, feed: dict[str, NDArray], threads: int | None) -> Callable[[], object]:
    request = openvino_runtime.request(graph, feed, threads, precision)
    return lambda: request.infer(feed, share_inputs=True)


def _int8(run_in: Runtime, graph: bytes, feed: dict[str, NDArray], threads: int | None) -> Callable[[], object]:
    """Calibrated on this one input: what it answers does not count here."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        int8.quantise(graph, path, [feed])
        return run_in(path.read_bytes(), feed, threads)


RUNTIMES: dict[str, Runtime] = {
    "onnx": _onnx,
    "openvino": partial(_openvino, "f32"),
    "openvino-bf16": partial(_openvino, "bf16"),
    "onnx-int8": partial(_int8, _onnx),
    "openvino-int8": partial(_int8, partial(_openvino, "f32")),
}
