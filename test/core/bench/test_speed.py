# SPDX-License-Identifier: Apache-2.0
"""The benchmark counts and judges correctly. How fast anything is, is not tested."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from mapkd_core.bench import cost, machine, peers, speed, table
from mapkd_core.bench.stages import stage_times
from mapkd_core.bench.timing import interleaved, spread, torch_threads
from mapkd_core.config import ModelConfig, TrainConfig, load
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build, plan
from mapkd_core.models.deployed import Deployed
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame


def test_operations_by_hand():
    layer = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    assert cost.operations(layer, torch.zeros(1, 3, 10, 20)) == 2 * 3 * 8 * 9 * 10 * 20
    assert cost.parameters(layer) == 3 * 8 * 9
    assert layer.weight.requires_grad and layer.training


@pytest.mark.parametrize("view", ["ground", "lift_splat"])
def test_what_runs_is_counted_and_not_what_was_trained(tiny, make_sample, view):
    """The student is rewritten for speed where it can be; were it not any more, these figures would say so."""
    model, p = build(replace(tiny, view=view)).eval(), make_sample().prepared
    images, table = (torch.from_numpy(a)[None] for a in (p.images, plan(model.config, p.K, p.ego_T_camera, p.valid)))
    counted = cost.student_cost(model, images, table)
    trained = cost.operations(model, images, table)
    runs = cost.operations(Deployed(model), images, table) if view == "ground" else trained
    assert counted["gflop"] == round(runs / 1e9, 3) and (runs < trained) == (view == "ground")
    assert counted["parameters_m"] == round(cost.parameters(model) / 1e6, 3)
    least = 4 * cost.parameters(model.camera) + images.nbytes + table.nbytes
    assert least < 1e6 * counted["moved_mb"] < 2 * least


def test_calls_take_turns_and_warm_up_does_not_count():
    seen: list[str] = []
    times = interleaved({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, repeats=3, warm_up=2)
    assert seen == ["a", "b"] * 5
    assert {name: len(ms) for name, ms in times.items()} == {"a": 3, "b": 3}


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="at least one round"):
        interleaved({}, repeats=0)


def test_spread_by_hand():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]) == {
        "median": 6.0, "p10": 2.0, "p90": 10.0, "repeats": 11,
    }  # fmt: skip


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_ceilings_are_positive():
    assert all(value > 0 for value in machine.ceilings(repeats=1).values())


def test_floor_is_the_slower_of_work_and_traffic():
    counted = {"gflop": 10.0, "moved_mb": 1.0}
    busy = speed._judged([200.0], counted, {"conv_gflops": 100.0, "bandwidth_gbs": 10.0})
    assert (busy["floor_ms"], busy["share_of_floor"], busy["gflops"]) == (100.0, 0.5, 50.0)
    moving = speed._judged([200.0], counted, {"conv_gflops": 1e6, "bandwidth_gbs": 0.01})
    assert moving["floor_ms"] == 100.0


def test_stages_from_jpeg_to_vectors(tmp_path, tiny, rig, make_sample):
    save_weights(tmp_path / "tiny.safetensors", build(tiny).state_dict(), tiny, {"vectors": "query"})
    images = make_sample().prepared.images.transpose(0, 2, 3, 1)
    frame = Frame(tuple(replace(c, image=image) for c, image in zip(rig, images)))
    stages = stage_times(Mapper(tmp_path / "tiny.safetensors", backend="torch"), frame, repeats=2)
    assert set(stages) == {"plan_new", *table.STAGES}
    inner = sum(stages[s]["median"] for s in table.STAGES if s != "total")
    assert stages["total"]["p90"] >= 0.5 * inner and stages["plan"]["median"] < stages["plan_new"]["median"]


@pytest.mark.slow
def test_whole_run_is_json_and_a_table():
    result = speed.run(repeats=1, threads=1)
    assert json.loads(json.dumps(result)) == result
    assert result["networks"]["hdmapnet_shape"]["gflop"] == pytest.approx(339, rel=0.03)
    assert result["networks"]["mapkd_student_shape"]["gflop"] == pytest.approx(370, rel=0.03)
    assert result["networks"]["student"]["parameters_m"] <= 5 and result["networks"]["student"]["gflop"] <= 10
    assert {"load_before", "load_after", "shared"} <= result["machine"].keys()
    text = table.text(result)
    assert "times as long" in text and "GFLOP a frame" in text


def test_mapkds_student_is_timed_in_the_shape_that_its_setting_trains():
    paper = load(TrainConfig, "config/train/paper/mapkd_student.yaml").model
    assert (
        replace(
            ModelConfig(image_height=paper.image_height, image_width=paper.image_width, grid=paper.grid),
            **peers.MAPKD_STUDENT,
        )
        == paper
    )
