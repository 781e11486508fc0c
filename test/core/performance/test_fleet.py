# SPDX-License-Identifier: Apache-2.0
"""The cost of a fleet's logs by hand, and that it is measured and told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.commands import performance_blocks
from mapkd_core.models.build import build
from mapkd_core.performance import fleet
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame


def test_a_thousand_kilometres_by_hand():
    """At 50 km/h 20 hours; at 2 Hz 144,000 frames; at 4 frames a second 36,000 s, ten core hours, half a coin at 0.05.

    Live, 2 frames a second are half a core's work.
    """
    assert fleet.on_paper(4.0, 2.0, 50.0, 0.05) == {
        "sampling_hz": 2.0, "speed_kmh": 50.0, "frames": 144_000, "core_hours": 10.0, "cost": 0.5,
        "cores_per_vehicle": 0.5,
    }  # fmt: skip


def test_a_fleet_is_measured_and_told(tmp_path, tiny, rig):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query"})
    cameras = tuple(replace(c, image=np.full((c.height, c.width, 3), 80, np.uint8)) for c in rig)
    result = fleet.run(path, 2, workers=1, speeds_kmh=(40.0,), price=0.1, frame=Frame(cameras))
    assert json.loads(json.dumps(result)) == result and result["frames_per_s_per_core"] > 0
    rate = result["frames_per_s_per_core"]
    assert [row["frames"] for row in result["rows"]] == [1_080_000, 180_000]
    assert result["rows"][0]["core_hours"] == pytest.approx(1_080_000 / rate / 3600, abs=0.01, rel=1e-3)
    told = "\n".join(performance_blocks.fleet(result))
    assert "12 Hz" in told and "40 km/h" in told and "1,080,000" in told and "a core hour costs 0.1" in told


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"price": 0.0}, {"speeds_kmh": (30.0, 0.0)}, {"speeds_kmh": ()}])
def test_what_is_not_positive_is_refused(wrong):
    with pytest.raises(ValueError, match="all must be positive"):
        fleet.run(**wrong)
