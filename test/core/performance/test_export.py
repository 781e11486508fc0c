# SPDX-License-Identifier: Apache-2.0
"""What is exported runs elsewhere: for any number of cameras, with what TensorRT imports, equal to PyTorch."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.commands import export as command
from mapkd_core.models.build import VIEWS, build
from mapkd_core.models.inference import torch_runner
from mapkd_core.models.onnx_graph import export, takes_any_number
from mapkd_core.performance import tensorrt
from mapkd_core.performance.tensorrt_graph import unsupported
from mapkd_core.training.checkpoint import save_weights

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def options(out: Path, weights: Path, **more: object) -> argparse.Namespace:
    return argparse.Namespace(**{"out": out, "weights": weights, "cameras": 6, "precision": "fp16", **more})


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query"})
    return path


def test_one_file_serves_every_number_of_cameras(tiny, tmp_path):
    model = build(tiny).eval()
    export(model, tmp_path / "six.onnx", 6, command._inputs(tiny, 6)[1])
    run, reference = command._onnx(tmp_path / "six.onnx"), torch_runner(model)
    for cameras in (1, 3, 8):
        given = command._inputs(tiny, cameras)
        for found, expected in zip(run(*given), reference(*given)):
            np.testing.assert_allclose(found.astype(float), expected, atol=1.01 if found.dtype == np.uint8 else 1e-4)


def test_the_command_checks_what_it_wrote(tmp_path, weights):
    summary = command.run(options(tmp_path / "s.onnx", weights)).summary
    assert summary["opset"] == 18 and summary["any_number_of_cameras"] and summary["not_in_tensorrt"] == []
    assert summary["difference"]["probability"] <= 1 and summary["difference"]["points"] < 1e-3


def test_a_graph_that_answers_otherwise_is_refused(tiny):
    model = build(tiny).eval()
    given = command._inputs(tiny, 2)
    right = torch_runner(model)
    with pytest.raises(RuntimeError, match="otherwise than PyTorch in points"):
        command._checked(model, *given, lambda i, p: (*right(i, p)[:2], right(i, p)[2] + 0.1))


@pytest.mark.parametrize("view", VIEWS)
def test_tensorrt_knows_every_operator(tiny, tmp_path, view):
    model = build(replace(tiny, view=view)).eval()
    export(model, tmp_path / "s.onnx", 6, command._inputs(model.config, 6)[1])
    assert unsupported(tmp_path / "s.onnx") == []
    assert takes_any_number(model) == (view == "ground")


def saved(path: Path, nodes: list, inputs: list, outputs: list, opset: int = 18, **constants: np.ndarray) -> Path:
    """A graph of these nodes; inputs, outputs: name, element type and shape."""
    values = [[onnx.helper.make_tensor_value_info(*v) for v in part] for part in (inputs, outputs)]
    given = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = onnx.helper.make_graph(nodes, "graph", *values, initializer=given)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)]), str(path))
    return path


def test_an_operator_that_tensorrt_lacks_is_named(tiny, tmp_path):
    """In a branch of an If, too; NonZero it has."""
    node = onnx.helper.make_node
    nodes = [node("NonZero", ["x"], ["i"]), node("Unique", ["x"], ["y"])]
    y = ("y", onnx.TensorProto.FLOAT, None)
    branch = onnx.helper.make_graph(nodes, "branch", [], [onnx.helper.make_tensor_value_info(*y)])
    choice = node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    inputs = [("x", onnx.TensorProto.FLOAT, [2]), ("c", onnx.TensorProto.BOOL, [])]
    path = saved(tmp_path / "odd.onnx", [choice], inputs, [y])
    assert unsupported(path) == ["Unique"]
    with pytest.raises(ValueError, match="TensorRT does not import Unique"):
        tensorrt.build(path, tmp_path / "odd.engine", tiny, "fp16", True)


def test_limits_of_operators_that_tensorrt_has(tmp_path):
    """Bytes that are reshaped before they are cast, axes that are computed, cubic scaling, an opset of later."""
    node, types = onnx.helper.make_node, onnx.TensorProto
    inputs = [("image", types.UINT8, [1, 4, 4]), ("axes", types.INT64, [1])]
    nodes = [
        node("Reshape", ["image", "shape"], ["moved"]), node("Cast", ["moved"], ["x"], to=types.FLOAT),
        node("Resize", ["x", "", "scales"], ["large"], mode="cubic"), node("ReduceSum", ["large", "axes"], ["y"]),
    ]  # fmt: skip
    constants = {"shape": np.array([1, 1, 4, 4]), "scales": np.float32([1, 1, 2, 2])}
    path = saved(tmp_path / "limits.onnx", nodes, inputs, [("y", types.FLOAT, None)], 21, **constants)
    assert unsupported(path) == [
        "ReduceSum: axes are not constant", "Reshape: takes or makes bytes, which only Cast does",
        "Resize: mode = cubic", "opset 21",
    ]  # fmt: skip


def test_the_call_of_trtexec(tiny):
    call = tensorrt.build_command(Path("s.onnx"), Path("s.engine"), tiny, "int8", True)
    assert call[:2] == ["--onnx=s.onnx", "--saveEngine=s.engine"] and {"--int8", "--fp16"} <= set(call)
    assert call[-3:] == [f"--{k}Shapes=images:1x{n}x3x64x96" for k, n in (("min", 1), ("opt", 6), ("max", 8))]
    assert not [a for a in tensorrt.build_command(Path("s"), Path("e"), tiny, "fp32", False) if "Shapes" in a]
    with pytest.raises(ValueError, match="precision = 'fp4'"):
        tensorrt.build_command(Path("s"), Path("e"), tiny, "fp4", True)


def test_without_trtexec_the_call_is_told(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(tensorrt, "TRTEXEC", ("no-such-trtexec",))
    with pytest.raises(FileNotFoundError, match=r"trtexec is not there.*--fp16.*--minShapes=images:1x1x3x64x96"):
        command.run(options(tmp_path / "s.engine", weights))
    assert (tmp_path / "s.onnx").is_file() and not (tmp_path / "s.engine").exists()


def test_another_suffix_is_refused(tmp_path, weights):
    with pytest.raises(ValueError, match=r"suffix '\.trt' is not known; use \.onnx, \.engine or \.pt2"):
        command.run(options(tmp_path / "s.trt", weights))
