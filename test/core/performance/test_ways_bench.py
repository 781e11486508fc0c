# SPDX-License-Identifier: Apache-2.0
"""Which way is taken: exact ones if they are so here, others with their mIoU known and good enough; and the tables."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.commands import performance_blocks
from mapkd_core.evaluation.evaluate import evaluate
from mapkd_core.evaluation.rendered import Predicting, World, predict_worlds
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build
from mapkd_core.models.inference import torch_runner
from mapkd_core.performance import ceilings, choice, ways, ways_bench, ways_scores, ways_table
from mapkd_core.training.checkpoint import load_weights, save_weights
from mapkd_core.types import Frame

SAME = {"probability": 1.0, "scores": 1e-5, "points": 1e-5}


@pytest.fixture
def frame(rig, make_sample):
    pictures = make_sample().prepared.images.transpose(0, 2, 3, 1)
    return Frame(tuple(replace(c, image=image) for c, image in zip(rig, pictures)))


@pytest.fixture
def weights(tiny, tmp_path):
    """Of a network that sees as far as the cameras see ground, and whose fresh head does not say background alone."""
    config = replace(tiny, grid=BevGrid(-24.0, 24.0, -12.0, 12.0, 0.6))
    state = build(config).state_dict()
    state["raster.out.bias"] *= 0.0
    state["raster.out.weight"] *= 20.0
    path = tmp_path / "tiny.safetensors"
    save_weights(path, state, config, {"vectors": "query"})
    return path


@pytest.fixture(autouse=True)
def _own_machine(tmp_path, monkeypatch, frame):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ways_bench, "rendered_frame", lambda: frame)


@pytest.mark.parametrize(
    ("name", "apart", "miou", "taken", "lost"),
    [
        ("onnx", SAME, None, True, None),
        ("onnx", SAME | {"probability": 2.0}, 36.0, False, 0.0),
        ("onnx", SAME | {"points": 2e-4}, 36.0, False, 0.0),
        ("onnx", SAME | {"scores": None}, 36.0, False, 0.0),  # not a number
        ("onnx-int8", SAME, None, False, None),
        ("onnx-int8", SAME | {"probability": 99.0}, 35.5, True, 0.5),
        ("onnx-int8", SAME, 35.4, False, 0.6),
        ("openvino-bf16", SAME, 36.2, True, -0.2),
    ],
)
def test_a_way_is_taken_if_it_is_exact_here_or_loses_half_a_point_at_most(name, apart, miou, taken, lost):
    found, reference = {"apart": apart, "miou": miou, "map": miou}, {"miou": 36.0, "map": 37.0}
    row = ways_bench._row(name, [3.0, 1.0, 2.0], found, reference)
    assert (row["is_taken"], row["miou_lost"]) == (taken, lost) and row["forward_ms"]["p50"] == 2.0
    assert row["map_lost"] == (None if lost is None else lost + 1)


def test_every_way_stands_under_the_roof_of_its_own_precision():
    roofs = {"conv_gflops": 200.0, "conv_gflops_bf16": 400.0, "conv_gflops_int8": None}
    shares = {name: ways_bench._speed(name, [50.0], 8.0, roofs)["share_of_ceiling"] for name in ways.WAYS}
    assert (shares["openvino"], shares["openvino-bf16"], shares["onnx-int8"]) == (0.8, 0.4, None)
    assert {way.precision for way in ways.WAYS.values()} == set(ways_bench.ROOFS)


def test_roofs_of_bf16_and_int8_are_measured_or_absent():
    found = ceilings.less_precise(1)
    assert set(found) == set(ways_bench.ROOFS.values()) - {"conv_gflops"}
    assert all(value is None or value > 0 for value in found.values())


def test_the_choice_is_kept_and_told(weights, frame):
    pytest.importorskip("onnxruntime")
    result = ways_bench.run(weights, ["torch", "onnx"], repeats=2, threads=1, worlds=0, recorded=frame)
    assert json.loads(json.dumps(result)) == result and set(result["ways"]) == {"torch", "onnx"}
    assert choice.read(result["key"]) == result["chosen"] in ("torch", "onnx")
    assert f"chosen: {result['chosen']}, kept for this machine" in ways_table.text(result)
    row = result["ways"]["onnx"]
    assert row["gflops"] == pytest.approx(1e3 * result["gflop"] / row["forward_ms"]["p50"], rel=0.1)
    assert row["share_of_ceiling"] == pytest.approx(row["gflops"] / result["ceilings"]["conv_gflops"], rel=0.1)
    assert row["is_taken"] and row["apart"]["probability"] <= 1 and row["apart"]["points"] < 1e-4
    assert result["ways"]["torch"]["apart"] == {"probability": 0, "scores": 0, "points": 0}
    assert result["compared_frames"] == {"rendered": 1, "recorded": 1} and row["miou"] is None
    assert f"Chosen: `{result['chosen']}`" in "\n".join(performance_blocks.ways(result))
    with pytest.raises(ValueError, match="way tensorflow is unknown; known: torch, onnx"):
        ways_bench.run(weights, ["tensorflow"])


def test_a_way_that_is_only_said_to_be_exact_is_refused_however_fast(weights, monkeypatch):
    def wrong(model, card, threads):
        right = torch_runner(model)
        answers = []

        def run(images, plan):
            answers[:] = answers or [a + a.dtype.type(2 * (a.dtype == np.uint8)) for a in right(images, plan)]
            return tuple(answers)

        return run

    monkeypatch.setattr(ways, "WAYS", {"torch": ways.WAYS["torch"], "wrong": ways.Way(wrong)})
    result = ways_bench.run(weights, repeats=2, threads=1, worlds=0)
    rows = result["ways"]
    assert rows["wrong"]["forward_ms"]["p50"] < rows["torch"]["forward_ms"]["p50"]
    assert rows["wrong"]["apart"]["probability"] == 2 and rows["wrong"]["apart"]["points"] == 0
    assert not rows["wrong"]["is_taken"] and choice.read(result["key"]) == result["chosen"] == "torch"
    alone = ways_bench.run(weights, ["wrong"], repeats=1, threads=2, worlds=0)
    assert alone["chosen"] is None and not alone["kept"] and choice.read(alone["key"]) is None
    assert ways_table.text(alone).endswith("chosen: none") and "Chosen: none" in performance_blocks.ways(alone)[-1]


def test_scores_are_those_of_evaluate(weights):
    """The same frames, once through the Mapper as `mapkd evaluate` predicts them."""
    model, seed = load_weights(weights)[0], 980_077
    frames = ways_scores.rendered([seed], 2, model.config)
    found, reference = ways_scores.judged({"torch": torch_runner(model)}, model, "query", frames)
    how = Predicting(weights, vectors=("query",), backend="torch")
    predicted = [p for drive in predict_worlds([World(seed)], 2, how, workers=1) for p in drive]
    report = evaluate((p.maps["query"], p.truth, p.labelled) for p in predicted)
    expected = {"miou": 100 * report.miou, "map": 100 * report.map}
    assert report.frames == 2 and report.miou > 0
    for scores in (found["torch"], reference):
        assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-4)


def test_a_result_of_before_is_still_a_table():
    """Schema 1: one roof for all, no mAP, and exactness by word alone."""
    row = {"forward_ms": {"p50": 20.0, "p95": 21.0}, "gflops": 400.0, "share_of_ceiling": 2.0, "is_taken": True}
    old = {
        "ways": {
            "torch": row | {"is_exact": True, "miou": 33.0, "share_of_ceiling": 0.5},
            "openvino-bf16": row | {"is_exact": False, "miou": 32.9},
        },
        "ceilings": {"conv_gflops": 200.0}, "gflop": 8.0, "chosen": "torch", "not_installed": {},
        "reference_miou": 33.0, "scored_frames": 20, "kept": True,
        "machine": {"processor": "P", "threads": 2, "load_before": 0.1, "load_after": 0.2},
    }  # fmt: skip
    lines = performance_blocks.ways(old)
    cells = {c[0]: c[1:] for c in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:4])}
    assert cells["`torch`"] == ["20.0 ms", "21.0 ms", "400", "50 %", "33.00", "-", "-", "-", "-", "yes"]
    assert cells["`openvino-bf16`"][3:6] == ["-", "32.90", "-"]


def test_every_way_is_an_option_of_the_budget():
    from mapkd_core.commands.arguments import BACKENDS

    assert set(BACKENDS) == {"auto", *ways.WAYS, *ways.of("cuda")}
