# SPDX-License-Identifier: Apache-2.0
"""The exported graph in OpenVINO, on x86 and Arm CPUs; bf16 where the processor computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.models.inference import Runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import default_threads, exported


@cache
def computes_bf16() -> bool:
    """Whether this processor does; where it does not, OpenVINO takes single precision without a word."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def runner(model: MapModel, digest: str, threads: int | None = None, *, precision: str = "f32") -> Runner:
    """precision: f32 or bf16. Raises ImportError where openvino is not installed."""
    return graph_runner(lambda images, plan: exported(model, digest, len(images), plan), threads, precision)


def graph_runner(graph: Any, threads: int | None, precision: str) -> Runner:
    """graph: images, plan -> bytes of the ONNX file. Compiled for each number of cameras: fixed shapes."""
    requests: dict[int, Any] = {}

    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        given = {"images": np.ascontiguousarray(images)[None], "plan": plan[None]}
        if len(images) not in requests:
            requests[len(images)] = request(graph(images, plan), given, threads, precision)
        answers = requests[len(images)].infer(given, share_inputs=True)
        probability, scores, points = (answers[name] for name in ("probability", "scores", "points"))
        return probability[0], scores[0], points[0]

    return run


def infer(
    graph: bytes, given: Mapping[str, NDArray], threads: int | None, at_once: int = 1, *, precision: str = "f32"
) -> list[Callable[[Mapping[str, NDArray]], Mapping[str, NDArray]]]:
    """So many calls of an ONNX file that may run at the same time, for inputs of the shapes of `given`: a `Runtime`."""

    def call(made: Any, inputs: Mapping[str, NDArray]) -> Mapping[str, NDArray]:
        answers: Mapping[str, NDArray] = made.infer(inputs, share_inputs=True)
        return answers

    compiled = compiled_model(graph, given, threads, precision, at_once)
    return [partial(call, compiled.create_infer_request()) for _ in range(at_once)]


def request(graph: bytes, given: Mapping[str, NDArray], threads: int | None, precision: str) -> Any:
    """openvino.InferRequest of an ONNX file for inputs of the shapes of `given`."""
    return compiled_model(graph, given, threads, precision).create_infer_request()


def compiled_model(
    graph: bytes, given: Mapping[str, NDArray], threads: int | None, precision: str, streams: int = 1
) -> Any:
    """openvino.CompiledModel. streams: so many requests may run at the same time, and share the threads."""
    import openvino

    core = openvino.Core()
    network = core.read_model(graph)
    network.reshape({name: list(array.shape) for name, array in given.items()})
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads or default_threads(),
        # It would hold the threads of every process at the same cores, the first ones: several would share one of many.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(network, "CPU", settings)
