# SPDX-License-Identifier: Apache-2.0
"""What TensorRT imports of our graphs, in int8, too, and how trtexec is called; TensorRT itself is not here."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.commands import export as command
from mapkd_core.models.build import VIEWS, build
from mapkd_core.models.onnx_graph import export, takes_any_number
from mapkd_core.performance import beside_pytorch, int8, tensorrt
from mapkd_core.performance.beside_pytorch import checked_int8, noise, onnx_file
from mapkd_core.performance.tensorrt_graph import unsupported
from mapkd_core.training.checkpoint import save_weights

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def options(out: Path, weights: Path, precision: str = "fp16") -> argparse.Namespace:
    return argparse.Namespace(out=out, weights=weights, cameras=6, precision=precision)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query"})
    return path


@pytest.mark.parametrize("view", VIEWS)
def test_tensorrt_knows_every_operator(tiny, tmp_path, view):
    model = build(replace(tiny, view=view)).eval()
    export(model, tmp_path / "s.onnx", 6, noise(model.config, 6)[1])
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


@pytest.mark.parametrize("symmetric", [True, False])
def test_int8_is_written_as_tensorrt_imports_it_where_it_is_to_be_symmetric(tiny, tmp_path, symmetric):
    model, frames = build(tiny).eval(), [noise(tiny, 6), noise(tiny, 6)]
    export(model, tmp_path / "s.onnx", 6, frames[0][1])
    path = tmp_path / "int8.onnx"
    int8.quantise((tmp_path / "s.onnx").read_bytes(), path, map(int8.inputs, frames), symmetric=symmetric)
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    assert kinds.count("QuantizeLinear") >= 70 and kinds.count("Conv") >= 70
    lacking = ["its zero is not at 0", "takes int32, not int8", "takes or makes bytes, which only Cast does"]
    expected = [] if symmetric else [f"DequantizeLinear: {why}" for why in lacking]
    assert [found for found in unsupported(path) if found.startswith("Dequantize")] == expected
    assert symmetric == (unsupported(path) == [])
    away = checked_int8(model, onnx_file(path), [noise(tiny, 6), noise(tiny, 2)])
    assert 0 < away["probability"] < 2, "and for another number of cameras"


def test_a_zero_that_is_not_at_zero_is_named(tmp_path):
    node, types = onnx.helper.make_node, onnx.TensorProto
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = {"scale": np.float32(0.1), "zero": np.int8(3)}
    x, y = ("x", types.FLOAT, [4]), ("y", types.FLOAT, [4])
    path = saved(tmp_path / "odd.onnx", nodes, [x], [y], **constants)
    assert unsupported(path) == ["DequantizeLinear: its zero is not at 0", "QuantizeLinear: its zero is not at 0"]


def test_the_call_of_trtexec(tiny):
    call = tensorrt.build_command(Path("s.onnx"), Path("s.engine"), tiny, "int8", True)
    assert call[:2] == ["--onnx=s.onnx", "--saveEngine=s.engine"] and {"--int8", "--fp16"} <= set(call)
    assert call[-3:] == [f"--{k}Shapes=images:1x{n}x3x64x96" for k, n in (("min", 1), ("opt", 6), ("max", 8))]
    assert not [a for a in tensorrt.build_command(Path("s"), Path("e"), tiny, "fp32", False) if "Shapes" in a]
    with pytest.raises(ValueError, match="precision = 'fp4'"):
        tensorrt.build_command(Path("s"), Path("e"), tiny, "fp4", True)


@pytest.fixture
def trtexec(tmp_path, monkeypatch):
    """In place of NVIDIA's program: keeps its arguments in `call`, and what it "builds" is the graph that it got."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "trtexec").write_text(
        """#!/bin/sh
for a in "$@"; do
  case "$a" in --onnx=*) graph="${a#*=}" ;; --saveEngine=*) engine="${a#*=}" ;; esac
done
printf '%s\\n' "$@" > "$(dirname "$0")/call"
[ -e "$(dirname "$0")/broken" ] && echo "no such flag" >&2 && exit 3
cp "$graph" "$engine"
"""
    )
    (folder / "trtexec").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_an_engine_is_built_of_the_graph_beside_it(trtexec, tmp_path, weights):
    result = command.run(options(tmp_path / "s.engine", weights, precision="bf16"))
    call = (trtexec / "call").read_text().splitlines()
    assert call[0] == f"--onnx={tmp_path / 's.onnx'}" and {"--bf16", "--skipInference"} <= set(call)
    assert "--minShapes=images:1x1x3x64x96" in call
    assert call[1] != f"--saveEngine={tmp_path / 's.engine'}", "written aside, then renamed"
    assert (tmp_path / "s.engine").read_bytes() == (tmp_path / "s.onnx").read_bytes()
    assert result.summary["precision"] == "bf16" and result.summary["not_in_tensorrt"] == []
    assert "the ONNX file beside it, from PyTorch: probability" in result.text
    assert result.text.endswith("the engine was not run")


def test_an_engine_in_int8_is_of_a_graph_that_was_checked_again(trtexec, tiny, tmp_path, weights, monkeypatch):
    asked = []

    def frames(config):
        asked.append(config)
        return iter([noise(tiny, 6)])

    monkeypatch.setattr(int8, "calibration_frames", frames)
    monkeypatch.setattr(int8, "checking_frames", frames)
    result = command.run(options(tmp_path / "s.engine", weights, precision="int8"))
    assert {"--int8", "--fp16"} <= set((trtexec / "call").read_text().splitlines()) and len(asked) == 2
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(str(tmp_path / "s.engine")).graph.node}
    assert unsupported(tmp_path / "s.onnx") == []
    assert 0 < result.summary["difference_int8"]["probability"] < 2 and "in int8 on average: probability" in result.text


def test_a_graph_in_int8_that_is_too_far_from_pytorch_is_not_built(trtexec, tiny, tmp_path, weights, monkeypatch):
    monkeypatch.setattr(int8, "calibration_frames", lambda config: iter([noise(tiny, 6)]))
    monkeypatch.setattr(int8, "checking_frames", lambda config: iter([noise(tiny, 6)]))
    monkeypatch.setattr(beside_pytorch, "INT8_TOLERANCE", dict.fromkeys(beside_pytorch.TOLERANCE, 1e-9))
    with pytest.raises(RuntimeError, match="the graph in int8 answers otherwise than PyTorch in probability"):
        command.run(options(tmp_path / "s.engine", weights, precision="int8"))
    assert not (tmp_path / "s.engine").exists() and not (trtexec / "call").exists()


def test_a_build_that_fails_says_why_and_leaves_no_engine(trtexec, tmp_path, weights):
    (trtexec / "broken").touch()
    with pytest.raises(RuntimeError, match=r"trtexec failed with 3 \(TensorRT 11 has no precisions.*: no such flag"):
        command.run(options(tmp_path / "s.engine", weights))
    assert not (tmp_path / "s.engine").exists()


def test_without_trtexec_the_call_is_told(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(tensorrt, "TRTEXEC", ("no-such-trtexec",))
    with pytest.raises(FileNotFoundError, match=r"trtexec is not there.*--fp16.*--minShapes=images:1x1x3x64x96"):
        command.run(options(tmp_path / "s.engine", weights))
    assert (tmp_path / "s.onnx").is_file() and not (tmp_path / "s.engine").exists()
