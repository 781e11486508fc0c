# SPDX-License-Identifier: Apache-2.0
"""What is exported runs elsewhere, for any number of cameras, and equal to PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.commands import export as command
from mapkd_core.models.build import build
from mapkd_core.models.inference import torch_runner
from mapkd_core.models.onnx_graph import export
from mapkd_core.performance.beside_pytorch import checked, checked_int8, noise, onnx_file
from mapkd_core.training.checkpoint import save_weights

pytest.importorskip("onnx")
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
    export(model, tmp_path / "six.onnx", 6, noise(tiny, 6)[1])
    run, reference = onnx_file(tmp_path / "six.onnx"), torch_runner(model)
    for cameras in (1, 3, 8):
        given = noise(tiny, cameras)
        for found, expected in zip(run(*given), reference(*given)):
            np.testing.assert_allclose(found.astype(float), expected, atol=1.01 if found.dtype == np.uint8 else 1e-4)


def test_the_command_checks_what_it_wrote(tmp_path, weights):
    summary = command.run(options(tmp_path / "s.onnx", weights)).summary
    assert summary["opset"] == 18 and summary["any_number_of_cameras"] and summary["not_in_tensorrt"] == []
    assert summary["difference"]["probability"] <= 1 and summary["difference"]["points"] < 1e-3


def test_a_graph_that_answers_otherwise_is_refused(tiny):
    model = build(tiny).eval()
    given, right = [noise(tiny, 2), noise(tiny, 1)], torch_runner(model)

    def wrong(images, plan):
        """With one camera alone."""
        probability, scores, points = right(images, plan)
        return probability, scores, points + (0.1 if len(images) == 1 else 0.0)

    with pytest.raises(RuntimeError, match="what was written answers otherwise than PyTorch in points"):
        checked(model, wrong, given)
    with pytest.raises(RuntimeError, match="the graph in int8 answers otherwise than PyTorch in points"):
        checked_int8(model, wrong, given)
    assert (
        checked(model, right, given)
        == checked_int8(model, right, given[:1])
        == dict.fromkeys(("probability", "scores", "points"), 0.0)
    )
    assert checked_int8(model, wrong, [*given, *given[:1] * 9])["points"] < 0.015, "on average"


def test_another_suffix_is_refused(tmp_path, weights):
    with pytest.raises(ValueError, match=r"suffix '\.trt' is not known; use \.onnx, \.engine or \.pt2"):
        command.run(options(tmp_path / "s.trt", weights))
