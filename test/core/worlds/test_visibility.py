# SPDX-License-Identifier: Apache-2.0
"""What stands on the road hides the ground behind it, and only that; what no camera looks at is not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import rig
from mapkd_core.worlds.appearance import draw_look
from mapkd_core.worlds.relief import FLAT
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.road_map import Agent, RoadMap
from mapkd_core.worlds.visibility import on_grid, seen_cells

GRID = BevGrid(-30.0, 30.0, -6.0, 6.0, 0.5)
CAMERAS = rig.scaled(rig.nuscenes_rig(), 352, 198)
LOOK = replace(draw_look(1), greenery=0.0, buildings=0.0)


def road_with_a_lorry() -> RoadMap:
    """Road of 80 m width along x; a lorry stands across the lane ahead, its near side at x = 10, |y| < 2.5 m."""
    xs = np.linspace(-60, 100, 33)
    kerbs = [np.column_stack([xs, np.full(33, y)]) for y in (40.0, -40.0)]
    ego = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0]])
    lorry = Agent("VEHICLE", 3.0, 5.0, 3.5, np.array([[0.0, 11.5, 0.0, 0.0]]))
    lane = np.column_stack([xs, np.zeros(33)])
    return RoadMap("lorry", (), (kerbs[0], kerbs[1][::-1]), (), (lane,), ego, agents=(lorry,))


@pytest.fixture(scope="module")
def seen() -> dict[bool, np.ndarray]:
    options = {"relief": FLAT, "suspension": False}
    worlds = {solids: Renderer(road_with_a_lorry(), 1, LOOK, solids=solids, **options) for solids in (True, False)}
    return {solids: seen_cells(world, 0.0, CAMERAS, GRID) for solids, world in worlds.items()}


def at(mask: np.ndarray, x: float, y: float) -> bool:
    column, row = np.round(GRID.to_cells((x, y))).astype(int)
    return bool(mask[row, column])


def test_the_ground_behind_a_lorry_is_hidden_and_beside_it_is_not(seen):
    assert at(seen[True], 8.25, 0.25) and at(seen[True], 9.25, -2.25)  # before it
    # The camera is 1.7 m ahead of the axle: the shadow's half width at x = 25 m is 2.5 * 23.3 / 8.3 = 7 m.
    assert not at(seen[True], 16.25, 0.25) and not at(seen[True], 25.25, 5.25) and not at(seen[True], 25.25, -5.25)
    assert at(seen[True], 8.25, 5.25) and at(seen[True], -20.25, 3.25)
    assert at(seen[False], 16.25, 0.25) and at(seen[False], 25.25, 5.25)


def test_nothing_is_seen_only_because_something_stands_there(seen):
    assert not (seen[True] & ~seen[False]).any()
    assert 0.5 < seen[True].mean() < seen[False].mean() < 1.0


def test_ground_under_the_vehicle_is_in_no_picture(seen):
    assert not at(seen[False], 0.25, 0.25)


def test_a_mask_speaks_for_the_cells_inside_it():
    of = BevGrid(-2.0, 2.0, -1.0, 1.0, 1.0)
    mask = np.array([[True, False, False, True], [False, False, True, True]])
    fine = on_grid(mask, of, BevGrid(-1.0, 2.0, -1.0, 1.0, 0.5))
    assert fine.shape == (4, 6)
    np.testing.assert_array_equal(fine, np.kron(mask[:, 1:], np.ones((2, 2), bool)))
    with pytest.raises(ValueError, match="reaches farther"):
        on_grid(mask, of, BevGrid(-3.0, 2.0, -1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="reaches farther"):
        on_grid(mask[:1], of, of)
