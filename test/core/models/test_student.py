# SPDX-License-Identifier: Apache-2.0
"""The structural guard: what makes the student light and independent of the rig must not get lost. No wall times."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.bench.cost import operations, parameters
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import VIEWS, build, plan
from mapkd_core.models.inference import make_runner, torch_runner
from mapkd_core.models.onnx_graph import export, onnx_runner
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.worlds.rig import nuscenes_rig

# All of them run in TensorRT 10 and in ONNX Runtime on every device; adding one is a decision, not an accident.
CARD = {"sha256": "0" * 64}
ALLOWED = {
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Conv", "DepthToSpace", "Div", "Equal", "Exp", "Expand",
    "Gather", "Greater", "GridSample", "Identity", "LayerNormalization", "MatMul", "Mod", "Mul", "ReduceMax",
    "ReduceSum", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze",
    "Sub", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip


def _inputs(config: ModelConfig, cameras: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures and the plan of `cameras` cameras; from the seventh on the first ones again, turned a little."""
    rng = np.random.default_rng(cameras)
    rig = [model_camera(camera, config) for camera in (nuscenes_rig() * 2)[:cameras]]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    images = rng.integers(0, 255, (cameras, 3, config.image_height, config.image_width), np.uint8)
    return images, plan(config, K, poses, np.ones(cameras, bool))


@pytest.mark.parametrize("view", VIEWS)
def test_student_is_light(view):
    config = replace(ModelConfig(), view=view)
    model = build(config)
    images, table = _inputs(config, 6)
    assert parameters(model) <= 5e6
    assert operations(model, torch.from_numpy(images)[None], torch.from_numpy(table)[None]) <= 10e9


def test_shipped_weights_fit_a_student_that_no_part_of_a_teacher_has_changed():
    """Counted, not measured. A change here is a change of the student: of its weights and of its speed."""
    model, _ = load_weights(SHIPPED)
    images, table = _inputs(model.config, 6)
    assert model.config == ModelConfig() and len(model.state_dict()) == 476
    assert parameters(model) == 3_180_543
    assert operations(model, torch.from_numpy(images)[None], torch.from_numpy(table)[None]) == 8_190_610_944


@pytest.mark.parametrize("view", VIEWS)
def test_same_weights_take_one_to_eight_cameras(tiny, view):
    config = replace(tiny, view=view)
    run = torch_runner(build(config).eval())
    for cameras in range(1, 9):
        probability, scores, points = run(*_inputs(config, cameras))
        assert probability.shape == (3, 40, 80) and probability.dtype == np.uint8
        assert scores.shape == (8, 3) and points.shape == (8, 10, 2)
        assert np.isfinite(points).all() and ((scores >= 0) & (scores <= 1)).all()


def test_order_of_the_cameras_does_not_matter(tiny):
    """No weight belongs to a camera: pictures and calibration in another order give the same map."""
    run = torch_runner(build(tiny).eval())
    rig = [model_camera(camera, tiny) for camera in nuscenes_rig()]
    images = _inputs(tiny, 6)[0]
    answers = []
    for order in (np.arange(6), np.array([4, 2, 0, 5, 1, 3])):
        K, poses = np.stack([rig[i].K for i in order]), np.stack([rig[i].ego_T_camera for i in order])
        answers.append(run(images[order], plan(tiny, K, poses, np.ones(6, bool))))
    for one, other in zip(*answers):
        np.testing.assert_allclose(one.astype(float), other.astype(float), atol=1.01 if one.dtype == np.uint8 else 1e-3)


def test_exported_graph_has_only_allowed_operators(tmp_path):
    onnx = pytest.importorskip("onnx")
    config = ModelConfig()
    export(build(config), tmp_path / "student.onnx", 6, _inputs(config, 6)[1])
    graph = onnx.load(str(tmp_path / "student.onnx")).graph
    found = {node.op_type for node in graph.node}
    assert found <= ALLOWED, f"new operators in the export: {sorted(found - ALLOWED)}"
    assert [i.name for i in graph.input] == ["images", "plan"]
    assert [o.name for o in graph.output] == ["probability", "scores", "points"]
    assert [p.name for p in tmp_path.iterdir()] == ["student.onnx"]


@pytest.mark.parametrize("cameras", [1, 6])
def test_eager_and_onnx_agree(tiny, tmp_path, monkeypatch, cameras):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, inputs = build(tiny).eval(), _inputs(tiny, cameras)
    eager, fast = torch_runner(model)(*inputs), onnx_runner(model, "0" * 64, threads=1)(*inputs)
    assert np.abs(eager[0].astype(int) - fast[0].astype(int)).max() <= 1
    np.testing.assert_allclose(eager[1], fast[1], atol=1e-4)
    np.testing.assert_allclose(eager[2], fast[2], atol=1e-4)
    assert list((tmp_path / "mapkd").glob("*.onnx"))


def test_cache_that_cannot_be_written_costs_time_and_nothing_else(tiny, tmp_path, monkeypatch, caplog):
    pytest.importorskip("onnxruntime")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    probability, _, _ = onnx_runner(build(tiny).eval(), "0" * 64, threads=1)(*_inputs(tiny, 1))
    assert probability.shape == (3, 40, 80)
    assert "cannot be kept" in caplog.text


def test_without_the_exporter_auto_falls_back_to_pytorch(tiny, monkeypatch, caplog):
    """Noticed when the runner is made, not at the first frame."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    model = build(tiny).eval()
    assert make_runner(model, "auto", "cpu", CARD)(*_inputs(tiny, 1))[0].shape == (3, 40, 80)
    assert "falling back to PyTorch" in caplog.text
    with pytest.raises(ValueError, match="needs the packages onnx and onnxruntime"):
        make_runner(model, "onnx", "cpu", CARD)


def test_unknown_backend_and_absent_device_are_refused(tiny):
    with pytest.raises(ValueError, match="unknown backend 'tensorrt'; known: auto, torch, onnx"):
        make_runner(build(tiny), "tensorrt", "cpu", CARD)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device; use device: cpu"):
            make_runner(build(tiny), "torch", "cuda", CARD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_height": 100}, "picture of 100 x 96 px.*multiples of 32"),
        ({"grid": replace(ModelConfig().grid, cell=0.3)}, "canvas of 100 x 200 cells.*multiples of 8"),
    ],
)
def test_sizes_that_the_strides_do_not_divide_are_refused(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        build(replace(tiny, **change))
