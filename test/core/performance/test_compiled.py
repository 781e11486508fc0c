# SPDX-License-Identifier: Apache-2.0
"""PyTorch's compiler: the package that `mapkd export` writes, and the backends `aot` and `compiled`.

One package is compiled in every run, 40 s of CPU on this file's small network. torch.compile takes twice that; it runs
where MAPKD_COMPILE=1 is set, and nowhere else.
"""

from __future__ import annotations

import argparse
import os
import shutil

import numpy as np
import pytest
import torch

from mapkd_core.commands import export as command
from mapkd_core.models.build import build
from mapkd_core.models.inference import make_runner, torch_runner
from mapkd_core.performance import compiled
from mapkd_core.performance.beside_pytorch import checked, noise
from mapkd_core.training.checkpoint import load_weights, save_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler needs g++"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query"})
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory, weights):
    """`mapkd export student.pt2`: the file and what the command said."""
    out = tmp_path_factory.mktemp("package") / "student.pt2"
    return out, command.run(argparse.Namespace(out=out, weights=weights, cameras=2, precision="fp16"))


def test_a_package_is_checked_and_answers_as_pytorch_does(exported, weights, tiny):
    out, result = exported
    assert result.summary["bytes"] == out.stat().st_size > 100_000 and "2 cameras; from PyTorch: " in result.text
    assert result.summary["difference"]["probability"] <= 1 and result.summary["difference"]["points"] < 1e-3
    model, _ = load_weights(weights)
    rng = np.random.default_rng(1)
    images, plan = noise(tiny, 2)
    frames = [(rng.integers(0, 256, images.shape, np.uint8), plan) for _ in range(3)]
    away = checked(model, compiled.loaded(out), frames)
    assert away["probability"] <= 1 and away["scores"] <= 1e-4 and away["points"] <= 1e-4


def test_a_package_in_the_cache_is_taken_and_not_made_again(exported, weights, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, card = load_weights(weights)
    made = []

    def package(model, path, images, plan):
        made.append(path)
        path.parent.mkdir()
        shutil.copy(exported[0], path)

    monkeypatch.setattr(compiled, "package", package)
    for _ in range(2):
        run, given = make_runner(model, "aot", "cpu", card, 1), noise(tiny, 2)
        for found, expected in zip(run(*given), torch_runner(model)(*given)):
            np.testing.assert_allclose(found.astype(float), expected, atol=1.01 if found.dtype == np.uint8 else 1e-4)
    assert made == [compiled.cached(card["sha256"], 2)] and made[0].is_file()


def test_a_package_is_of_one_kind_of_processor(monkeypatch):
    """A home on the network serves several, and one with fewer instructions would end at the first of the others."""
    here = compiled.cached("0" * 64, 6)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    assert compiled.cached("0" * 64, 6) != here


@pytest.mark.skipif("MAPKD_COMPILE" not in os.environ, reason="compiles for minutes: set MAPKD_COMPILE=1")
@pytest.mark.parametrize("name", ["compiled", "aot"])
def test_both_backends_compile_by_themselves(tiny, weights, tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, card = load_weights(weights)
    checked(model, make_runner(model, name, "cpu", card, 1), [noise(tiny, 6)])
