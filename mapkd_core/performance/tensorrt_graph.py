# SPDX-License-Identifier: Apache-2.0
"""What of an ONNX file TensorRT 10 imports, by NVIDIA's own table; no TensorRT is needed to look.

Source: docs/operators.md of github.com/onnx/onnx-tensorrt at 10.1 GA (commit 96e7811, "TensorRT 10.0 supports operators
in the inclusive range of opset 9 to opset 20"), read on 2026-11-21 and compared with the table for 10.15 (opset 9 to
24), which takes nothing back. Before: GridSample and Mod came with 8.5, LayerNormalization with 8.6.

Of the table's limits those are checked that a network like ours can break. Bytes (UINT8) are the input or the output of
the engine, and nothing but Cast takes or makes them. What is quantised is signed, around zero, and no int32. GridSample
takes four dimensions, which is all that ONNX itself allows below opset 20, in single or half precision but not in bf16:
an engine built with --bf16 looks up in single.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPSETS = range(9, 21)
_NAMES = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast CastLike Ceil Celu
Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace DequantizeLinear Div
Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm
GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less
LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish
Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear RNN RandomNormal RandomNormalLike
RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign Round Scan Scatter
ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth
Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
SUPPORTED = frozenset(_NAMES.split())
_RESIZE = {
    "mode": ("nearest", "linear"),
    "coordinate_transformation_mode": (
        "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners",
    ),
    "nearest_mode": ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
    "keep_aspect_ratio_policy": ("stretch",),
    "antialias": (0,),
}  # fmt: skip
# Which input names axes that must be known when the engine is built.
_AXES_AT = {"Slice": 3, "Squeeze": 1, "Unsqueeze": 1, "CumSum": 1}


def unsupported(path: Path) -> list[str]:
    """What TensorRT 10 does not import of the ONNX file, sorted; subgraphs included. Empty where it imports all.

    An operator by its name, a broken limit as "GridSample: why".
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    found = {f"opset {o.version}" for o in model.opset_import if not o.domain and o.version not in OPSETS}
    for graph in _graphs(model.graph):
        types, constants = _types(graph), _constants(graph)
        for node in graph.node:
            name = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
            found |= {name} if name not in SUPPORTED else {f"{name}: {why}" for why in _limits(node, types, constants)}
    return sorted(found)


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _types(graph: Any) -> dict[str, int]:
    """Name of a tensor -> ONNX's number of its element type, where it is known."""
    values = (*graph.value_info, *graph.input, *graph.output)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {i.name: i.data_type for i in graph.initializer}


def _constants(graph: Any) -> dict[str, Any]:
    """Name of a constant -> its values as ONNX keeps them; None where a node says them in another form."""
    made = {o: _value(node) for node in graph.node if node.op_type == "Constant" for o in node.output}
    return made | {i.name: i for i in graph.initializer}


def _value(node: Any) -> Any:
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _limits(node: Any, types: dict[str, int], constants: dict[str, Any]) -> Iterator[str]:
    """Which limits of its operator the node breaks, in words."""
    import onnx

    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    given = {name: v.decode() if isinstance(v, bytes) else v for name, v in given.items()}
    kind = node.op_type
    bytes_in = any(types.get(name) == onnx.TensorProto.UINT8 for name in (*node.input, *node.output))
    if bytes_in and kind not in ("Cast", "CastLike"):
        yield "takes or makes bytes, which only Cast does"
    if kind in ("QuantizeLinear", "DequantizeLinear"):
        yield from _quantised(node, types, constants)
    if kind == "Resize":
        yield from (
            f"{name} = {given[name]}" for name, known in _RESIZE.items() if given.get(name, known[0]) not in known
        )
    at = 1 if kind.startswith("Reduce") else _AXES_AT.get(kind)
    if at is not None and len(node.input) > at and node.input[at] and node.input[at] not in constants:
        yield "axes are not constant"
    if kind in ("LayerNormalization", "MaxPool") and any(node.output[1:]):
        yield "only its first output is there"
    if kind in ("AveragePool", "MaxPool") and set(given.get("dilations", [1])) != {1}:
        yield "is dilated"
    if kind == "ScatterND" and given.get("reduction", "none") != "none":
        yield f"reduction = {given['reduction']}"
    if kind == "TopK" and not given.get("sorted", 1):
        yield "is not sorted"


def _quantised(node: Any, types: dict[str, int], constants: dict[str, Any]) -> Iterator[str]:
    import onnx

    if node.op_type == "DequantizeLinear" and types.get(node.input[0]) == onnx.TensorProto.INT32:
        yield "takes int32, not int8"
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is not None and onnx.numpy_helper.to_array(zero).any():
        yield "its zero is not at 0"
