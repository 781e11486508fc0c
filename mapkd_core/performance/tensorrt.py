# SPDX-License-Identifier: Apache-2.0
"""An engine for NVIDIA GPUs, discrete or Jetson, from the exported graph: NVIDIA's `trtexec` builds it on the target.

An engine holds for the GPU and the version of TensorRT that it was built with, so it is made where it runs.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import MOST_CAMERAS
from mapkd_core.writing import aside

TRTEXEC = ("trtexec", "/usr/src/tensorrt/bin/trtexec")  # the second is where JetPack and the Debian packages put it
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
# Operators of ONNX, among those a network like ours may use, that TensorRT 10 imports. TensorRT 8 lacks GridSample
# below 8.5, and LayerNormalization and Mod below 8.6.
SUPPORTED = {
    "Abs", "Add", "And", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "DepthToSpace", "DequantizeLinear", "Div", "Einsum", "Equal",
    "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool",
    "Greater", "GreaterOrEqual", "GridSample", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization",
    "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "MatMul", "Max", "MaxPool", "Min", "Mod",
    "Mul", "Neg", "Not", "Or", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "ScatterElements", "ScatterND", "Shape",
    "Sigmoid", "Sin", "Slice", "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
    "TopK", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip


def unsupported(path: Path) -> list[str]:
    """Operators of the ONNX file, sorted, that TensorRT 10 does not import; subgraphs included."""
    import onnx

    def operators(graph: onnx.GraphProto) -> set[str]:
        found = {n.op_type if n.domain in ("", "ai.onnx") else f"{n.domain}::{n.op_type}" for n in graph.node}
        inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
        return found.union(*(operators(g) for g in inner)) if inner else found

    return sorted(operators(onnx.load(str(path)).graph) - SUPPORTED)


def build_command(graph: Path, engine: Path, config: ModelConfig, precision: str, any_number: bool) -> list[str]:
    """The call of trtexec without its program. any_number: the graph takes one to eight cameras, best at six.

    Raises ValueError for an unknown precision. int8 needs a graph with its scales in it (`performance.int8`).
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r}; known: {', '.join(PRECISIONS)}")
    command = [f"--onnx={graph}", f"--saveEngine={engine}", "--builderOptimizationLevel=5", "--useCudaGraph"]
    command += ["--skipInference"]
    if precision != "fp32":
        command += [f"--{precision}"] + (["--fp16"] if precision == "int8" else [])
    if any_number:
        size = f"3x{config.image_height}x{config.image_width}"
        numbers = {"min": 1, "opt": 6, "max": MOST_CAMERAS}
        command += [f"--{name}Shapes=images:1x{number}x{size}" for name, number in numbers.items()]
    return command


def build(graph: Path, engine: Path, config: ModelConfig, precision: str, any_number: bool) -> None:
    """Write the engine, aside and renamed.

    Raises ValueError for operators that TensorRT lacks, FileNotFoundError without trtexec, RuntimeError where it fails.
    """
    if lacking := unsupported(graph):
        raise ValueError(f"{graph}: TensorRT does not import {', '.join(lacking)}")
    program = next((found for name in TRTEXEC if (found := shutil.which(name))), None)
    if program is None:
        raise FileNotFoundError(
            "trtexec is not there: build the engine on the machine with the GPU, with TensorRT 10 (JetPack 6) "
            f"installed; the call is: trtexec {' '.join(build_command(graph, engine, config, precision, any_number))}"
        )
    with aside(engine) as unfinished:
        command = [program, *build_command(graph, unfinished, config, precision, any_number)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not unfinished.is_file():
            raise RuntimeError(f"trtexec failed with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
