# SPDX-License-Identifier: Apache-2.0
"""The budget counts what is there: stages, parts, floors and plots. How fast anything is, is not tested."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import mapkd_core.mapper as mapper_module
from mapkd_core.bench.cost import operations
from mapkd_core.commands.performance_blocks import _overhead
from mapkd_core.config import ModelConfig
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build, plan
from mapkd_core.models.deployed import Deployed
from mapkd_core.performance import budget, budget_plot, ceilings, floors, parts, ways
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query", "min_confidence": 0.0})
    return path


@pytest.fixture
def frame(rig, make_sample) -> Frame:
    """Pictures of four times the network's size."""
    cameras = []
    for camera, image in zip(rig, make_sample().prepared.images.transpose(0, 2, 3, 1)):
        K = camera.K.copy()
        K[:2, 2] = (K[:2, 2] + 0.5) * 4 - 0.5
        K[0, 0], K[1, 1] = 4 * K[0, 0], 4 * K[1, 1]
        size = {"width": 4 * camera.width, "height": 4 * camera.height}
        cameras.append(replace(camera, image=image.repeat(4, 0).repeat(4, 1), K=K, **size))
    return Frame(tuple(cameras))


@pytest.fixture
def inputs(tiny, make_sample):
    prepared = make_sample().prepared
    return prepared.images, plan(tiny, prepared.K, prepared.ego_T_camera, prepared.valid)


def test_pictures_decoded_smaller_give_the_same_map_within_the_tolerance(weights, frame):
    mapper, data = Mapper(weights, "torch"), budget.jpegs(frame, 95)
    small, whole = (JpegPipeline(mapper, frame.cameras, 2, reduced)(data) for reduced in (True, False))
    fitted = JpegPipeline(mapper, frame.cameras, 2).frame(data).cameras[0]
    assert fitted.image.shape == (mapper.config.image_height, mapper.config.image_width, 3)
    np.testing.assert_array_equal(small.observed, whole.observed)
    assert np.abs(small.probability.astype(int) - whole.probability).mean() < 1
    assert list(small.times_ms) == ["decode", "resize", "prepare", "plan", "network", "vectorise", "total"]
    assert small.times_ms["total"] >= small.times_ms["network"]


def test_a_damaged_jpeg_is_refused(weights, frame):
    data = budget.jpegs(frame, 80)
    with pytest.raises(ValueError, match="cut off"):
        JpegPipeline(Mapper(weights, "torch"), frame.cameras, 2)([*data[:5], data[5][:500]])


def test_parts_are_the_whole(tiny, inputs):
    model = build(tiny).eval()
    rows = parts.costs(model, *inputs)
    whole = operations(Deployed(model), *(torch.from_numpy(a)[None] for a in inputs))
    assert tuple(rows) == parts.PARTS
    assert sum(row["gflop"] for row in rows.values()) == pytest.approx(whole / 1e9, abs=4e-4)
    # the query head reads the levels at 1/2 (16 channels of 10 x 20) and 1/4 (32 of 5 x 10), among others
    assert rows["query head"]["moved_mb"] >= 4 * (16 * 200 + 32 * 50) / 1e6


def test_parts_one_after_the_other_answer_as_the_whole(tiny, inputs):
    model, given = build(tiny).eval(), [torch.from_numpy(a)[None] for a in inputs]
    answers = {}
    with torch.no_grad():
        for name, part, tensors in parts.parts(model, *inputs):
            answers[name] = part(*tensors)
        probability, scores, points = Deployed(model)(*given)
    torch.testing.assert_close(answers["raster head"], (probability * 255 + 0.5).to(torch.uint8))
    torch.testing.assert_close(answers["query head"], (scores, points))


def test_convolutions_are_counted_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), *[torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)] * 2)
    shapes = ceilings.shapes(network, torch.zeros(1, 3, 10, 20))
    assert list(shapes.values()) == [1, 2]
    by_hand = [2 * 8 * 3 * 9 * 5 * 10, 2 * 8 * 9 * 5 * 10]
    assert [ceilings._operations(*shape) for shape in shapes] == by_hand
    assert sum(n * count for n, count in zip(by_hand, shapes.values())) == operations(
        network, torch.zeros(1, 3, 10, 20)
    )


@pytest.mark.parametrize("backend", parts.RUNTIMES)
def test_parts_run_in_every_runtime_that_exports(tiny, inputs, backend):
    if absent := ways.missing(backend):
        pytest.skip(f"not installed: {', '.join(absent)}")
    ready = parts.calls(build(tiny).eval(), *inputs, 1, backend)
    assert tuple(ready) == parts.PARTS and all(len(call()) for call in ready.values())


def test_floor_is_the_slower_of_work_and_traffic():
    roofs = {"conv_gflops": 100.0, "bandwidth_gbs": 10.0}
    assert ceilings.floor_ms({"gflop": 1.0, "moved_mb": 1.0}, roofs) == 10.0
    assert ceilings.floor_ms({"gflop": 0.1, "moved_mb": 50.0}, roofs) == 5.0


def test_floors_of_the_stages_by_hand():
    """Six pictures of 1600 x 900 at 100 kB, decoded at a quarter, of which the lower 128 of 198 rows are scaled."""
    config = ModelConfig()
    moved = floors.moved_bytes(1600, 900, 100_000, 6, config, is_reduced=True)
    fitted = 352 * 128 * 3
    assert moved == {
        "decode": 6 * (100_000 + 400 * 225 * 3), "resize": 6 * (round(128 / 198 * 400 * 225 * 3) + fitted),
        "prepare": 12 * fitted, "plan": 8 * 200 * 100, "vectorise": 4 * 50 * (3 + 40),
    }  # fmt: skip
    whole = floors.moved_bytes(1600, 900, 100_000, 6, config, is_reduced=False)
    assert whole["decode"] == 6 * (100_000 + 1600 * 900 * 3)
    result = {
        "picture": [1600, 900], "ceilings": {"bandwidth_gbs": 10.0}, "cameras": 6,
        "jpeg_bytes": {"quality 80": 100_000},
        "parts": {"a": {"floor_ms": 2.0}, "b": {"floor_ms": 0.5}}, "stages_ms": {"whole, quality 80": {}},
    }  # fmt: skip
    found = floors.stage_floors(result, config)["whole, quality 80"]
    assert found["network"] == 2.5 and found["decode"] == pytest.approx(whole["decode"] / 1e7, abs=1e-4)


def test_p50_and_p95_by_hand():
    assert budget.spread(list(range(101))) == {"p50": 50.0, "p95": 95.0, "repeats": 101}


def test_whole_budget_is_json_text_and_pictures(weights, frame, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from mapkd_core.commands.bench_budget import _budget_text

    roofs = {"conv_gflops": 100.0, "bandwidth_gbs": 10.0, "own_conv_gflops": 80.0, "own_conv_ms": 1.0}
    monkeypatch.setattr(ceilings, "measured", lambda *rest: roofs)
    node = {
        "stages_ms": {
            s: {"p50": ms} for s, ms in {"receive": 9.0, "queue": 1.0, "network": 40.0, "publish": 3.0}.items()
        }
    }
    result = budget.run(weights, 2, 1, "torch", frame, node)
    assert json.loads(json.dumps(result)) == result and result["node_overhead"] == 0.1
    assert result["node_over_bare"] == pytest.approx(44 / result["bare_network_ms"] - 1, abs=1e-3)
    assert result["picture"] == [4 * 96, 4 * 64] and result["gpu"] == "not measured"
    for stages in result["stages_ms"].values():
        assert set(stages) == {*budget.STAGES, "total"} and stages["total"]["repeats"] == 2
    for path, least in result["floors_ms"].items():
        assert set(least) == {*budget.STAGES, "total"} and 0 < least["total"] == pytest.approx(
            sum(least[s] for s in budget.STAGES), abs=1e-3
        ), path
    for row in result["parts"].values():
        assert row["share_of_floor"] == pytest.approx(row["floor_ms"] / row["p50"], abs=2e-3)
    assert "100.0 GFLOP/s in large convolutions" in _budget_text(result)
    pytest.importorskip("matplotlib")
    budget_plot.bar(result, tmp_path / "bar.svg")
    budget_plot.roofline(result, tmp_path / "roofline.svg")
    assert "query head" in (tmp_path / "roofline.svg").read_text() or (tmp_path / "roofline.svg").stat().st_size > 5000
    pieces = budget_plot._pieces(next(iter(result["stages_ms"].values())), result["parts"])
    network = next(iter(result["stages_ms"].values()))["network"]["p50"]
    assert sum(pieces[name] for name in parts.PARTS) == pytest.approx(network)


def test_recorded_jpegs_are_measured_as_they_are_in_turns_and_every_frame_is_planned(weights, frame, monkeypatch):
    pytest.importorskip("onnxruntime")
    roofs = {"conv_gflops": 100.0, "bandwidth_gbs": 10.0, "own_conv_gflops": 80.0, "own_conv_ms": 1.0}
    monkeypatch.setattr(ceilings, "measured", lambda *rest: roofs)
    names, data = [camera.name for camera in frame.cameras], budget.jpegs(frame, 30)
    folder = FrameFolder(frame, frame.cameras, dict(zip(names, data, strict=True)), name="drive")
    planned, mapped, map_once = [], [], JpegPipeline.__call__
    monkeypatch.setattr(mapper_module, "plan", lambda *given: planned.append(given) or plan(*given))
    monkeypatch.setattr(
        JpegPipeline, "__call__", lambda self, *given: mapped.append(given[0]) or map_once(self, *given)
    )
    result = budget.run(weights, 2, 1, "torch", frame, recorded=folder)
    assert list(result["stages_ms"])[-2:] == ["reduced, recorded", "whole, recorded"]
    assert result["jpeg_bytes"]["recorded"] == int(np.mean([len(one) for one in data]))
    sources = [budget.jpegs(frame, 95)] * 2 + [budget.jpegs(frame, 80)] * 2 + [data] * 2
    assert mapped == 3 * sources and len(planned) == len(mapped)  # the first time and two repeats
    with pytest.raises(ValueError, match=f"drive: {names[0]} is no JPEG"):
        budget.run(weights, 1, 1, "torch", frame, recorded=replace(folder, encoded=dict.fromkeys(names, b"\x89PNG")))


def test_waiting_for_pictures_is_told_beside_the_overhead():
    stages = {"decode": {"p50": 4.0}, "network": {"p50": 40.0}, "publish": {"p50": 4.0}}
    assert _overhead({"node_overhead": 0.2, "node_stages_ms": stages}) == (
        "The node's other work, over the network's time there: 20 % (10 % waiting for pictures)."
    )
    del stages["decode"]
    told = _overhead({"node_overhead": 0.1, "node_stages_ms": stages, "node_over_bare": 0.76, "bare_network_ms": 25.0})
    assert told.endswith(
        "there: 10 %. All of its work, over the network alone on an idle machine (25.0 ms): 76 % more."
    )
