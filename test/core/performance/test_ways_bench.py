# SPDX-License-Identifier: Apache-2.0
"""Which way is taken: exact ones by time, others only with their mIoU known and good enough; and the tables of it."""

from __future__ import annotations

import json

import pytest

from mapkd_core.commands import performance_blocks
from mapkd_core.models.build import build
from mapkd_core.performance import choice, ways, ways_bench
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame


@pytest.mark.parametrize(
    ("name", "scores", "taken", "lost"),
    [
        ("onnx", {}, True, None),
        ("onnx-int8", {}, False, None),
        ("onnx-int8", {"torch": 36.0, "onnx-int8": 35.5}, True, 0.5),
        ("onnx-int8", {"torch": 36.0, "onnx-int8": 35.4}, False, 0.6),
        ("openvino-bf16", {"torch": 36.0, "openvino-bf16": 36.2}, True, -0.2),
    ],
)
def test_a_way_is_taken_if_it_is_exact_or_loses_half_a_point_at_most(name, scores, taken, lost):
    row = ways_bench._row(name, [3.0, 1.0, 2.0], scores)
    assert (row["is_taken"], row["miou_lost"]) == (taken, lost) and row["forward_ms"]["p50"] == 2.0


def test_the_choice_is_kept_and_told(tiny, rig, make_sample, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pictures = make_sample().prepared.images.transpose(0, 2, 3, 1)
    frame = Frame(tuple(type(c)(c.name, i, c.K, c.ego_T_camera, c.width, c.height) for c, i in zip(rig, pictures)))
    monkeypatch.setattr(ways_bench, "rendered_frame", lambda: frame)
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query"})
    result = ways_bench.run(path, ["torch", "onnx"], repeats=2, threads=1, worlds=0)
    assert json.loads(json.dumps(result)) == result and set(result["ways"]) == {"torch", "onnx"}
    assert choice.read(result["key"]) == result["chosen"] in ("torch", "onnx")
    assert f"chosen: {result['chosen']}, kept for this machine" in ways_bench.text(result)
    row = result["ways"]["onnx"]
    assert row["gflops"] == pytest.approx(1e3 * result["gflop"] / row["forward_ms"]["p50"], rel=0.1)
    assert row["share_of_ceiling"] == pytest.approx(row["gflops"] / result["ceilings"]["conv_gflops"], rel=0.1)
    assert f"Chosen: `{result['chosen']}`" in "\n".join(performance_blocks.ways(result))
    with pytest.raises(ValueError, match="way tensorflow is unknown; known: torch, onnx"):
        ways_bench.run(path, ["tensorflow"])


def test_every_way_is_an_option_of_the_budget():
    from mapkd_core.commands.bench_budget import BACKENDS

    assert set(BACKENDS) == {"auto", *ways.WAYS, *ways.of("cuda")}
