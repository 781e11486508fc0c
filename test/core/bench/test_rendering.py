# SPDX-License-Identifier: Apache-2.0
"""The timing of the renderer runs the real thing and says what it measured."""

import pytest

from mapkd_core.bench import rendering


def test_both_kinds_of_frames_are_timed_and_the_lidar_costs_something(monkeypatch):
    monkeypatch.setattr(rendering, "WORLDS", 1)
    result = rendering.run(frames=1, workers=1)
    plain, lidar = (result["renderings"][name]["frame_ms"] for name in ("cameras", "cameras and LiDAR"))
    assert 1 < plain < lidar
    text = "\n".join(rendering.markdown(result))
    assert "on 1 cores" in text and f" {lidar:.0f} ms |" in text


def test_no_frame_is_refused():
    with pytest.raises(ValueError, match="frames = 0"):
        rendering.run(0)
