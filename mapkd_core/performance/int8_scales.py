# SPDX-License-Identifier: Apache-2.0
"""What one step of a byte is worth in every activation of the int8 network, and which byte is zero.

Calibration finds it once (`int8`), `mapkd ship` writes it into the card of the weights, and from there the same graph
is made anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

SCALES = "int8_scales"  # of the card
Scales: TypeAlias = Mapping[str, tuple[float, int]]  # step and zero by name of the activation


def has_scales(card: Mapping[str, Any]) -> bool:
    """Whether nothing has to be calibrated."""
    return SCALES in card


def scales_of(graph: bytes) -> dict[str, tuple[float, int]]:
    """Step and zero of each activation in a quantised graph (not a `symmetric` one), by name."""
    import onnx
    from onnx import numpy_helper

    found = onnx.load_from_string(graph).graph
    known = {tensor.name: tensor for tensor in found.initializer}
    scales = {}
    for node in found.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in known:
            step, zero = (numpy_helper.to_array(known[name]).item() for name in node.input[1:])
            scales[node.input[0]] = (float(f"{step:.9g}"), zero)  # nine digits hold a float32
    return scales


def as_options(scales: Scales | None, graph: Path) -> dict[str, Any]:
    """ONNX Runtime's `extra_options`; none without scales. Raises ValueError for those of another graph."""
    if not scales:
        return {}
    import onnx

    nodes, joined = list(onnx.load(str(graph)).graph.node), _joined(graph)
    wanted = {name for node in nodes if node.op_type == "Conv" for name in (node.input[0], node.output[0])}
    wanted -= {node.input[0] for node in joined}
    if absent := wanted.symmetric_difference(scales):
        raise ValueError(
            f"{SCALES} of the weights' card fit another graph: {min(absent)!r} is in one of the two alone; take the "
            f"versions of PyTorch and onnx that they were made with, or remove {SCALES} to calibrate here"
        )
    return {"TensorQuantOverrides": {
        name: [{"scale": np.array(step, np.float32), "zero_point": np.array(zero, np.uint8)}]
        for name, (step, zero) in scales.items()
    }}  # fmt: skip


def other_relus(graph: Path) -> list[str]:
    """Names of those ReLUs that are not part of what a convolution writes for others."""
    import onnx

    joined = {node.name for node in _joined(graph)}
    return [n.name for n in onnx.load(str(graph)).graph.node if n.op_type == "Relu" and n.name not in joined]


def _joined(graph: Path) -> list[Any]:
    """ReLUs that alone read a convolution, and that convolutions read."""
    import onnx

    nodes = list(onnx.load(str(graph)).graph.node)
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    written, read = {n.output[0] for n in convolutions}, {n.input[0] for n in convolutions}
    readers = Counter(name for node in nodes for name in node.input)
    alone = {name for name in written if readers[name] == 1}
    return [n for n in nodes if n.op_type == "Relu" and n.input[0] in alone and n.output[0] in read]
