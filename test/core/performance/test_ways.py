# SPDX-License-Identifier: Apache-2.0
"""Every way to run the network answers alike, and the one that is measured as the fastest is kept and taken."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapkd_core.bench import machine
from mapkd_core.data.prepare import model_camera
from mapkd_core.models import inference
from mapkd_core.models.build import build, plan
from mapkd_core.models.inference import BACKENDS, GPU_BACKENDS, Inference, make_runner, torch_runner
from mapkd_core.performance import choice, ways
from mapkd_core.performance.precision import PRECISIONS, arithmetic, network_for
from mapkd_core.performance.staged import Stage, staged_runner
from mapkd_core.worlds.rig import nuscenes_rig

DIGEST, CPU = "0" * 64, torch.device("cpu")
GPU_TOLERANCE = {"fp32": 1, "tf32": 1, "bf16": 20, "fp16": 3}  # of 255; on CPU tensors tf32 is fp32
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
    assert set(BACKENDS) == {"auto", *ways.WAYS, *ways.of("cuda")}


@pytest.mark.parametrize("name", ["onnx", "openvino", "openvino-bf16", "onnx-int8", "openvino-int8"])
def test_a_way_answers_as_pytorch_does(tiny, monkeypatch, name):
    if absent := ways.missing(name):
        pytest.skip(f"not installed: {', '.join(absent)}")
    if lacking := ways.WAYS[name].lacks():
        pytest.skip(f"this processor lacks {lacking}")
    monkeypatch.setattr("mapkd_core.performance.int8.calibration_frames", lambda config: iter([inputs(config)]))
    model = build(tiny).eval()
    run, reference = ways.runner(name, model, {"sha256": DIGEST}, 1), torch_runner(model)
    for cameras in (6, 2):
        given = inputs(tiny, cameras)
        found, expected = run(*given), reference(*given)
        away = np.abs(found[0].astype(int) - expected[0]) / 255
        assert away.max() <= TOLERANCE.get(name, 1.01 / 255)
        for a, b in zip(found[1:], expected[1:]):
            np.testing.assert_allclose(a, b, atol=TOLERANCE.get(name, 1e-4))


def test_a_stage_lets_cudnn_search_for_its_shapes(tiny):
    """Which are the same in every frame; the ceiling that it is held against was found so, too."""
    searched = []

    class Told(torch.nn.Module):
        def forward(self, images, table):
            searched.append(torch.backends.cudnn.benchmark)
            return images[0, :, 0], table.flatten(1)[:, :1], table.flatten(1)[:, :2]

    Stage(Told(), *inputs(tiny), CPU)
    assert searched == [True] and not torch.backends.cudnn.benchmark


def test_openvinos_threads_may_take_every_core(tiny):
    """Held at the first ones, as OpenVINO would have it, networks of several processes share one core of many."""
    pytest.importorskip("openvino")
    run, given, allowed = ways.runner("openvino", build(tiny).eval(), {"sha256": DIGEST}, 1), inputs(tiny), set()
    run(*given)
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            for thread in Path("/proc/self/task").iterdir():
                with contextlib.suppress(OSError):  # it has ended
                    allowed.add(frozenset(os.sched_getaffinity(int(thread.name))))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(20):
        run(*given)
    is_over.set()
    looking.join()
    assert allowed == {frozenset(os.sched_getaffinity(0))}


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
    choice.write(key, "torch", {"torch": 1.0}, tried=["onnx", "openvino"])
    choice.write("another", "onnx", {})
    assert choice.read(key) == "torch" and choice.read("another") == "onnx"
    assert choice.key(DIGEST, 2) != key != choice.key("1" * 64, 1)
    asked = []
    monkeypatch.setattr(ways, "runner", lambda name, *rest: asked.append(name))
    make_runner(build(tiny), "auto", "cpu", {"sha256": DIGEST}, 1)
    assert asked == ["torch"]
    assert choice.read(key, ["onnx"]) == "torch" and choice.read(key, ["onnx", "of a later version"]) is None
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
        ways.runner("openvino", build(tiny), {"sha256": DIGEST})


def test_a_way_that_this_processor_would_run_as_another_is_refused_and_not_tried(tiny, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(ways.openvino_runtime, "computes_bf16", lambda: False)
    with pytest.raises(ValueError, match="'openvino-bf16': this processor lacks instructions for bf16; use backend: a"):
        ways.runner("openvino-bf16", build(tiny), {"sha256": DIGEST})
    card = {"sha256": DIGEST, "miou_lost": {"openvino-bf16": 0.0}}
    make_runner(build(tiny).eval(), "auto", "cpu", card, 1)(*inputs(tiny, 2))
    (kept,) = json.loads((tmp_path / "mapkd" / "ways.json").read_text()).values()
    assert set(kept["tried"]) == {"onnx", "openvino"}
    choice.write(choice.key(DIGEST, 1), "openvino-bf16", {}, tried=["onnx", "openvino"])  # by another processor
    make_runner(build(tiny).eval(), "auto", "cpu", card, 1)(*inputs(tiny, 2))


@pytest.mark.parametrize(("name", "precision"), GPU_BACKENDS.items())
def test_the_gpu_path_answers_as_pytorch_does_on_cpu_tensors(tiny, name, precision):
    model = build(tiny).eval()
    run, reference = ways.staged("cpu")[name].make(model, {"sha256": DIGEST}, None), torch_runner(model)
    first, second = inputs(tiny, 6), inputs(tiny, 2)
    kept = run(*first)
    for given, found in ((second, run(*second)), (first, kept)):
        expected = reference(*given)
        away = np.abs(found[0].astype(int) - expected[0]).max()
        assert away <= GPU_TOLERANCE[precision], "an answer must outlive the next frame"
        np.testing.assert_allclose(found[2], expected[2], atol=1e-4 if precision in ("fp32", "tf32") else 0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(("name", "precision"), GPU_BACKENDS.items())
def test_on_a_gpu_every_precision_answers_as_pytorch_does_on_the_cpu(tiny, name, precision):
    model, given = build(tiny).eval(), inputs(tiny)
    expected, run = torch_runner(model)(*given), make_runner(model, name, "cuda", {"sha256": DIGEST})
    for _ in range(2):  # the first captures
        found = run(*given)
        assert np.abs(found[0].astype(int) - expected[0]).max() <= {"tf32": 3}.get(precision, GPU_TOLERANCE[precision])


def test_an_unknown_precision_is_refused(tiny):
    with pytest.raises(ValueError, match="precision = 'fp8'; known: fp32, tf32, bf16, fp16"):
        staged_runner(build(tiny), "cpu", "fp8")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_that_are_cast_once_answer_as_those_that_autocast_casts(tiny, precision):
    model, given = build(tiny).eval(), [torch.from_numpy(array)[None] for array in inputs(tiny, 2)]
    cast, whole = network_for(model, CPU, precision), network_for(model, CPU, "fp32")
    assert {p.dtype for p in cast.parameters()} == {torch.float32, PRECISIONS[precision]}
    with torch.inference_mode(), arithmetic(precision, CPU):
        assert all(torch.equal(a, b) for a, b in zip(cast(*given), whole(*given)))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_tf32_lets_convolutions_round(precision):
    flags = torch.backends.cudnn
    before = flags.allow_tf32, flags.benchmark
    with arithmetic(precision, CPU, is_searched=True):
        assert flags.allow_tf32 == (precision == "tf32") and flags.benchmark
    assert (flags.allow_tf32, flags.benchmark) == before


def test_certainty_survives_half_precision():
    """255.5 is 256 in bf16, which as a byte is 0."""

    class Certain(torch.nn.Module):
        config = SimpleNamespace(modalities=("camera",))

        def forward(self, images, plan):
            logits = torch.tensor([-90.0, 90.0], dtype=torch.bfloat16).view(1, 2, 1, 1)
            return SimpleNamespace(semantic=logits, queries=[(torch.zeros(1), torch.zeros(1))])

    network = Inference.__new__(Inference)
    torch.nn.Module.__init__(network)
    network.model = Certain()
    assert network(torch.zeros(1), torch.zeros(1))[0].item() == 255


@pytest.mark.parametrize(
    ("lost", "tried"),
    [({}, []), ({"cuda-fp16": 0.6}, []), ({"cuda-bf16": 0.4, "onnx-int8": 0.1}, ["cuda", "cuda-bf16"])],
)
def test_auto_on_a_gpu_is_exact_or_what_the_card_vouches_for(tiny, tmp_path, monkeypatch, lost, tried):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(machine, "describe_gpu", lambda device: {"gpu": "a GPU", "cuda": "13", "cudnn": 9})
    made = []
    on_cpu = ways.staged("cpu")
    monkeypatch.setattr(ways, "staged", lambda device: on_cpu)
    monkeypatch.setattr(ways, "staged_runner", lambda *given: made.append(given[1:]) or staged_runner(*given))
    run = make_runner(build(tiny).eval(), "auto", "cuda", {"sha256": DIGEST, "miou_lost": lost})
    given = inputs(tiny, 2)
    for found, expected in zip(run(*given), torch_runner(build(tiny).eval())(*given)):
        assert found.shape == expected.shape
    if not tried:
        assert made == [("cpu", "fp32")] and not (tmp_path / "mapkd").exists()
        return
    ((key, kept),) = json.loads((tmp_path / "mapkd" / "ways.json").read_text()).items()
    assert list(kept["forward_ms"]) == tried and key.startswith("a GPU; ") and key != choice.key(DIGEST)
    made.clear()
    make_runner(build(tiny).eval(), "auto", "auto", {"sha256": DIGEST})
    assert made == [("cpu", GPU_BACKENDS[kept["way"]])]


@pytest.mark.parametrize(
    ("backend", "device", "gpus", "message"),
    [
        ("cuda-bf16", "cpu", 1, "'cuda-bf16' runs on a GPU; on the CPU use backend: auto"),
        ("cuda-bf16", "auto", 0, "backend 'cuda-bf16' asked for, but PyTorch sees no CUDA device; use .*backend: auto"),
        ("auto", "cuda:1", 0, "device 'cuda:1' asked for, but PyTorch sees no CUDA device; use device: cpu"),
        ("auto", "cuda:1", 1, "device 'cuda:1' asked for, but PyTorch sees 1 CUDA devices"),
        ("onnx", "cuda", 1, "backend 'onnx' runs on the CPU; on cuda use backend: auto, torch, cuda, cuda-tf32"),
        ("auto", "gpu", 1, "unknown device 'gpu'; known: auto, cpu, cuda, cuda:N"),
    ],
)
def test_a_backend_that_does_not_go_with_the_device_is_refused(tiny, monkeypatch, backend, device, gpus, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ValueError, match=message):
        make_runner(build(tiny), backend, device, {"sha256": DIGEST})


def test_a_network_that_cannot_be_captured_is_refused_by_name_alone(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(inference, "torch_runner", lambda model, device: device)
    model = build(replace(tiny, decoder="resnet"))
    assert make_runner(model, "auto", "cuda", {"sha256": DIGEST}) == "cuda"
    with pytest.raises(ValueError, match=r"backend 'cuda' runs what .* can rewrite, which this is not: use torch"):
        make_runner(model, "cuda", "cuda", {"sha256": DIGEST})


def test_a_frame_moves_two_inputs_and_three_answers_and_no_more(tiny):
    given = inputs(tiny, 2)
    stage = Stage(Inference(build(tiny)).eval(), *given, CPU)
    stage(*given)
    answer = stage(*given)
    assert stage.copies == 5
    assert stage.transferred_bytes == tuple(sum(array.nbytes for array in side) for side in (given, answer))
