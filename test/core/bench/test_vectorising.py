# SPDX-License-Identifier: Apache-2.0
"""What makes polylines is timed for both heads, and told."""

from __future__ import annotations

import json

import pytest

from mapkd_core.bench import vectorising
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights


def test_both_heads_are_timed_on_the_clock_and_by_their_work(tmp_path, tiny):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query", "min_confidence": 0.0})
    result = vectorising.run(path, repeats=2, threads=1, worlds=1, frames=2, backend="torch")
    assert json.loads(json.dumps(result)) == result and (result["frames"], result["canvas"]) == (2, [40, 80])
    for row in result["heads"].values():
        for times in (row["wall_ms"], row["cpu_ms"]):
            assert 0 < times["p50"] <= times["p95"]
    assert result["heads"]["query"]["polylines"] > 0
    told = "\n".join(vectorising.markdown(result))
    assert "| query" in told and "| raster" in told and "15 ms" in told and "2 frames of 1 rendered drives" in told


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"worlds": 0}, {"frames": -1}])
def test_counts_that_are_not_positive_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        vectorising.run(**wrong)
