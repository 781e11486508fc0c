# SPDX-License-Identifier: Apache-2.0
"""Every way to run the network answers alike, and the one that is measured as the fastest is kept and taken."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.data.prepare import model_camera
from mapkd_core.models.build import build, plan
from mapkd_core.models.inference import BACKENDS, make_runner, torch_runner
from mapkd_core.performance import choice, ways
from mapkd_core.performance.staged import Stage, staged_runner
from mapkd_core.worlds.rig import nuscenes_rig

DIGEST = "0" * 64
TOLERANCE = {"openvino-bf16": 0.08, "onnx-int8": 0.15, "openvino-int8": 0.15}  # of a probability; random weights


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def inputs(config, cameras=6):
    rig = [model_camera(camera, config) for camera in nuscenes_rig()[:cameras]]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    size = (cameras, 3, config.image_height, config.image_width)
    images = np.random.default_rng(cameras).integers(0, 255, size, np.uint8)
    return images, plan(config, K, poses, np.ones(cameras, bool))


def test_every_backend_is_a_way():
    assert set(BACKENDS) == {"auto", *ways.WAYS}


@pytest.mark.parametrize("name", ["onnx", "openvino", "openvino-bf16", "onnx-int8", "openvino-int8"])
def test_a_way_answers_as_pytorch_does(tiny, monkeypatch, name):
    if absent := ways.missing(name):
        pytest.skip(f"not installed: {', '.join(absent)}")
    monkeypatch.setattr("mapkd_core.performance.int8.calibration_frames", lambda config: iter([inputs(config)]))
    model = build(tiny).eval()
    run, reference = ways.runner(name, model, DIGEST, 1), torch_runner(model)
    for cameras in (6, 2):
        given = inputs(tiny, cameras)
        found, expected = run(*given), reference(*given)
        away = np.abs(found[0].astype(int) - expected[0]) / 255
        assert away.max() <= TOLERANCE.get(name, 1.01 / 255)
        for a, b in zip(found[1:], expected[1:]):
            np.testing.assert_allclose(a, b, atol=TOLERANCE.get(name, 1e-4))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler needs g++")
@pytest.mark.skipif("MAPKD_COMPILE" not in os.environ, reason="compiles for minutes: set MAPKD_COMPILE=1")
@pytest.mark.parametrize("name", ["compiled", "aot"])
def test_compiled_ways_answer_as_pytorch_does(tiny, name):
    model, given = build(tiny).eval(), inputs(tiny)
    found, expected = ways.runner(name, model, DIGEST, 1)(*given), torch_runner(model)(*given)
    assert np.abs(found[0].astype(int) - expected[0]).max() <= 1
    np.testing.assert_allclose(found[2], expected[2], atol=1e-4)


def test_the_fastest_is_measured_and_the_broken_left_out(tiny, caplog):
    given = inputs(tiny, 1)
    order: list[str] = []

    def slow(images, table):
        order.append("slow")
        return sum(range(300_000))

    def broken(images, table):
        raise RuntimeError("no such instruction")

    name, times = choice.fastest({"slow": slow, "quick": lambda i, p: None, "broken": broken}, *given)
    assert name == "quick" and set(times) == {"slow", "quick"} and times["slow"] > times["quick"]
    assert len(order) == 2 + choice.ROUNDS and "broken does not run here: no such instruction" in caplog.text
    with pytest.raises(RuntimeError, match="none of broken runs"):
        choice.fastest({"broken": broken}, *given)


def test_a_choice_is_kept_for_machine_and_network_and_taken(tiny, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    key = choice.key(DIGEST, 1)
    assert choice.read(key) is None
    choice.write(key, "torch", {"torch": 1.0})
    choice.write("another", "onnx", {})
    assert choice.read(key) == "torch" and choice.read("another") == "onnx"
    assert choice.key(DIGEST, 2) != key != choice.key("1" * 64, 1)
    asked = []
    monkeypatch.setattr(ways, "runner", lambda name, *rest: asked.append(name))
    make_runner(build(tiny), "auto", "cpu", {"sha256": DIGEST}, 1)
    assert asked == ["torch"]
    (tmp_path / "mapkd" / "ways.json").write_text("{damaged")
    assert choice.read(key) is None


def test_without_a_choice_the_exact_ways_are_measured_at_the_first_frame(tiny, tmp_path):
    pytest.importorskip("openvino")
    run = make_runner(build(tiny).eval(), "auto", "cpu", {"sha256": DIGEST}, 1)
    run(*inputs(tiny, 2))
    (kept,) = json.loads((tmp_path / "mapkd" / "ways.json").read_text()).values()
    assert set(kept["forward_ms"]) == {"onnx", "openvino"} and kept["way"] in kept["forward_ms"]


@pytest.mark.parametrize(("lost", "is_tried"), [({}, False), ({"onnx-half": 0.4}, True), ({"onnx-half": 0.6}, False)])
def test_a_way_that_is_not_exact_is_tried_where_the_card_vouches_for_it(tiny, tmp_path, monkeypatch, lost, is_tried):
    half = replace(ways.WAYS["onnx"], is_exact=False)
    monkeypatch.setattr(ways, "WAYS", {"torch": ways.WAYS["torch"], "onnx": ways.WAYS["onnx"], "onnx-half": half})
    monkeypatch.setitem(ways.WAYS, "twin", ways.WAYS["onnx"])  # with one candidate alone nothing is measured
    run = make_runner(build(tiny).eval(), "auto", "cpu", {"sha256": DIGEST, "miou_lost": lost}, 1)
    run(*inputs(tiny, 2))
    (kept,) = json.loads((tmp_path / "mapkd" / "ways.json").read_text()).values()
    assert set(kept["forward_ms"]) == {"onnx", "twin"} | ({"onnx-half"} if is_tried else set())


def test_a_way_that_is_not_installed_says_what_to_do(tiny, monkeypatch):
    monkeypatch.setattr(ways, "missing", lambda name: ["openvino"])
    with pytest.raises(ValueError, match=r"needs the packages onnx and openvino: pip install onnx 'mapkd\[openvino\]'"):
        ways.runner("openvino", build(tiny), DIGEST)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_gpu_path_answers_as_pytorch_does_on_cpu_tensors(tiny, precision):
    model = build(tiny).eval()
    run, reference = staged_runner(model, "cpu", precision), torch_runner(model)
    first, second = inputs(tiny, 6), inputs(tiny, 2)
    kept = run(*first)
    for given, found in ((second, run(*second)), (first, kept)):
        expected = reference(*given)
        away = np.abs(found[0].astype(int) - expected[0]).max()
        assert away <= (1 if precision == "fp32" else 20), "an answer must outlive the next frame"
        np.testing.assert_allclose(found[2], expected[2], atol=1e-4 if precision == "fp32" else 0.05)
    with pytest.raises(ValueError, match="precision = 'fp8'; known: fp32, fp16, bf16"):
        staged_runner(model, "cpu", "fp8")


def test_a_frame_moves_two_inputs_and_three_answers_and_no_more(tiny):
    import torch

    from mapkd_core.models.inference import Inference

    given = inputs(tiny, 2)
    stage = Stage(Inference(build(tiny)).eval(), *given, torch.device("cpu"), None)
    stage(*given)
    stage(*given)
    assert stage.copies == 5
