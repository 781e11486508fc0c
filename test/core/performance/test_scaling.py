# SPDX-License-Identifier: Apache-2.0
"""What is changed in a scaling run changes the operations as it should; and its table says it."""

from __future__ import annotations

import json

import pytest

from mapkd_core.performance import scaling, scaling_plot


def test_operations_grow_with_cameras_range_picture_and_batch(tiny, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(scaling, "PICTURES", ((64, 96), (64, 192)))
    monkeypatch.setattr(scaling, "RANGES_M", ((12, 6), (24, 6)))
    monkeypatch.setattr(scaling, "CAMERAS", (1, 2))
    monkeypatch.setattr(scaling, "BATCHES", (1, 2))
    result = scaling.run(repeats=1, threads=1, config=tiny)
    assert json.loads(json.dumps(result)) == result
    gflop = {axis: [r["gflop"] for r in result["rows"] if r["axis"] == axis] for axis in scaling.AXES}
    assert all(small < large for small, large in gflop.values())
    assert gflop["batch"][1] == pytest.approx(2 * gflop["batch"][0], abs=2e-3)
    table = scaling_plot.markdown(result)
    assert len(table) == 2 + 8 and "24 x 6 m" in "\n".join(table)
    pytest.importorskip("matplotlib")
    scaling_plot.plot(result, tmp_path / "scaling.svg")
    assert (tmp_path / "scaling.svg").stat().st_size > 3000


def test_an_unknown_axis_is_refused():
    with pytest.raises(ValueError, match="axis colour is unknown; known: picture, cameras, range, batch"):
        scaling.run(["colour"])


def test_a_backend_that_cannot_run_other_networks_is_refused():
    with pytest.raises(ValueError, match="'cuda-fp16' is not one that is scaled; known: auto, onnx, openvino"):
        scaling.run(backend="cuda-fp16")
