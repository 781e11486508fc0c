# SPDX-License-Identifier: Apache-2.0
"""A short drive past six cameras, rendered once for all tests."""

from __future__ import annotations

import pytest

from mapkd_core.types import Frame
from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.render import Renderer


@pytest.fixture(scope="session")
def drive_frames() -> list[Frame]:
    """One every two metres, 225 x 400, by day; with noise, suspension and other traffic."""
    seed = 100_024
    road_map = procedural.make_road_map(seed)
    renderer = Renderer(road_map, seed)
    cameras = rig.scaled(rig.nuscenes_rig(), 400, 225)
    times, last = [], None
    for step in range(2000):
        time_s = float(road_map.ego[0, 0]) + 1 + 0.02 * step
        at = drive.pose_at(road_map, time_s)[:2, 3]
        if last is None or ((at - last) ** 2).sum() >= 4:
            times, last = [*times, time_s], at
        if len(times) == 9:
            break
    return [renderer.frame(time_s, cameras) for time_s in times]
