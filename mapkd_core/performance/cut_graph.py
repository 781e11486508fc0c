# SPDX-License-Identifier: Apache-2.0
"""An exported graph in two: what depends on the pictures alone, and the rest, which needs the plan, too.

With the ground view that border lies at the look-ups (`models.deployed`): before it each picture is seen by itself,
and what they become stands in rows below each other, 1 C (N h) w. The first graph can therefore be run picture by
picture; joined along their rows its answers are what the second one takes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ROWS = 2  # the axis along which pictures stand below each other in what is handed over
_PICTURES, _PLAN = "images", "plan"


class Cut(NamedTuple):
    """ONNX files: pictures: images -> features. rest: features and plan -> answers. features: their names in both."""

    pictures: bytes
    rest: bytes
    features: tuple[str, ...]


def cut(graph: bytes) -> Cut:
    """Raises ValueError for a graph in which nothing is made of the pictures before the plan is needed."""
    import onnx
    from onnx import helper
    from onnx.utils import Extractor

    model = onnx.load_from_string(graph)
    names = _handed_over(model.graph)
    if not names or _PICTURES in names:
        raise ValueError("the graph cannot be cut: nothing is made of the pictures before the plan is needed")
    known = [info for info in model.graph.value_info if info.name not in names]
    known += [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4) for name in names]
    del model.graph.value_info[:]
    model.graph.value_info.extend(known)
    extractor = Extractor(model)
    pictures = extractor.extract_model([_PICTURES], names)
    rest = extractor.extract_model([*names, _PLAN], [output.name for output in model.graph.output])
    return Cut(pictures.SerializeToString(), rest.SerializeToString(), tuple(names))


def _handed_over(graph: Any) -> list[str]:
    """Tensors that need pictures and no plan, and that are read where the plan is needed."""
    needs: dict[str, set[str]] = {name: {name} for name in (_PICTURES, _PLAN)}
    found = []
    for node in graph.node:  # in the order in which they run
        needed = set().union(*(needs.get(name, set()) for name in node.input))
        needs |= dict.fromkeys(node.output, needed)
        if _PLAN in needed:
            found += [name for name in node.input if needs.get(name) == {_PICTURES} and name not in found]
    return found
