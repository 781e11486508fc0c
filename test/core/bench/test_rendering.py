# SPDX-License-Identifier: Apache-2.0
"""The timing of the renderer runs the real thing and says what it measured."""

import pytest

from mapkd_core.bench import rendering


def test_frames_with_and_without_lidar_are_timed(monkeypatch):
    monkeypatch.setattr(rendering, "WORLDS", 1)
    result = rendering.run(frames=1, workers=1)
    plain, lidar = (result["renderings"][name]["frame_ms"] for name in ("cameras", "cameras and LiDAR"))
    assert plain > 1 and lidar > 1  # which is the slower is for a quiet machine to say
    text = "\n".join(rendering.markdown(result))
    assert "on 1 cores" in text and f" {lidar:.0f} ms |" in text


def test_no_frame_is_refused():
    with pytest.raises(ValueError, match="frames = 0"):
        rendering.run(0)
