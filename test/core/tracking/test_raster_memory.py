# SPDX-License-Identifier: Apache-2.0
"""What is told of ground that no camera looks at any more: hand-worked shifts and turns of small grids."""

from __future__ import annotations

import numpy as np

from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.tracking.raster_memory import MemoryOptions, RasterMemory
from mapkd_core.types import LocalMap

GRID = BevGrid(-10, 10, -5, 5, 1.0)  # 10 rows, 20 columns
OPTIONS = MemoryOptions(max_age_s=5.0, step_m=1.0)
BEHIND = np.arange(20) < 10


def local_map(seconds: float, observed, lit=()) -> LocalMap:
    """lit: (row, column) of cells with probability 200 in layer 1."""
    probability = np.zeros((2, 10, 20), np.uint8)
    for row, column in lit:
        probability[1, row, column] = 200
    looked = np.broadcast_to(observed, (10, 20)).copy()
    return LocalMap(GRID, (), ("divider", "boundary"), probability, looked, round(1e9 * seconds))


def test_what_lay_ahead_is_told_behind_once_the_vehicle_has_passed():
    """No camera looks back. A cell 3 m ahead (column 13) lies 4 m behind (column 6) after 7 m."""
    memory = RasterMemory(OPTIONS)
    first = local_map(0, ~BEHIND, [(4, 13)])
    assert memory.fill(first, np.eye(4)) is first, "nothing is known yet"
    second = memory.fill(local_map(1, ~BEHIND, [(2, 2), (2, 15)]), planar(7, 0, 0))
    assert np.argwhere(second.probability[1]).tolist() == [[2, 2], [2, 15], [4, 6]]
    assert second.probability[1, 4, 6] == 200 and not second.observed[:, :10].any(), "nobody looks there now"
    assert memory.remembered == 0.35, "columns 3 to 9 were seen as 10 to 16"


def test_what_is_looked_at_now_counts_and_what_was_seen_empty_is_empty():
    memory = RasterMemory(OPTIONS)
    memory.fill(local_map(0, ~BEHIND, [(4, 13)]), np.eye(4))
    found = memory.fill(local_map(1, True, [(4, 5)]), planar(7, 0, 0))
    assert np.argwhere(found.probability[1]).tolist() == [[4, 5]]
    guessed = memory.fill(local_map(2, ~BEHIND, [(8, 6)]), planar(7, 0, 0))
    assert np.argwhere(guessed.probability[1]).tolist() == [[4, 5]], "the guess at (8, 6) gives way to what was seen"


def test_the_blind_spots_of_a_whole_rig_are_left_to_the_network():
    memory, spot = RasterMemory(OPTIONS), np.ones((10, 20), bool)
    spot[4:7, 9:14] = False  # 15 of 200 cells
    memory.fill(local_map(0, True, [(4, 13)]), np.eye(4))
    assert memory.fill(local_map(1, spot, [(5, 10)]), np.eye(4)).probability[1, 4, 13] == 0
    spot[3, 9] = False
    assert memory.fill(local_map(2, spot, [(5, 10)]), np.eye(4)).probability[1, 4, 13] == 200


def test_a_turn_carries_the_raster_round():
    """Left by 90 degrees: what was 4.5 m to the left and 2.5 m ahead lies 4.5 m ahead and 2.5 m to the right."""
    memory = RasterMemory(OPTIONS)
    memory.fill(local_map(0, True, [(9, 12)]), np.eye(4))
    found = memory.fill(local_map(1, False), planar(0, 0, np.pi / 2))
    assert np.argwhere(found.probability[1]).tolist() == [[2, 14]]


def test_old_rasters_jumps_back_and_unknown_poses():
    memory = RasterMemory(OPTIONS)
    memory.fill(local_map(0, True, [(4, 13)]), np.eye(4))
    blind = local_map(1, False)
    assert memory.fill(blind, None) is blind and memory.remembered == 0
    late = local_map(5.1, False)
    assert memory.fill(late, np.eye(4)) is late, "forgotten after 5 s"
    memory.fill(local_map(6, True, [(4, 13)]), np.eye(4))
    back = local_map(3, False)
    assert memory.fill(back, np.eye(4)) is back, "a bag that began again"
    memory.forget()
    memory.fill(local_map(10, True, [(4, 13)]), np.eye(4))
    leaped = local_map(10.1, False)
    assert memory.fill(leaped, planar(0, 9, 0)) is leaped, "90 m/s: the odometry began again"
    bare = LocalMap(GRID, (), stamp_ns=9)
    assert memory.fill(bare, np.eye(4)) is bare


def test_memory_is_bounded_and_a_standing_vehicle_keeps_one():
    memory = RasterMemory(OPTIONS)
    for i in range(10):
        memory.fill(local_map(0.1 * i, True), np.eye(4))
    assert len(memory._kept) == 1
    for i in range(100):
        memory.fill(local_map(1 + 0.1 * i, True), planar(2.0 * i, 0, 0))
    assert len(memory._kept) == OPTIONS.most


def test_a_nearer_look_wins_where_it_is_asked_for():
    """A cell 8.5 m ahead, told wrongly, is seen from 1.5 m and then from 5.5 m behind: the second look counts."""
    far, near = (4, 18), (4, 11)
    memory = RasterMemory(MemoryOptions(max_age_s=5.0, step_m=1.0, always=True))
    memory.fill(local_map(0, True), np.eye(4))
    memory.fill(local_map(1, True, [near]), planar(7, 0, 0))
    found = memory.fill(local_map(2, True), planar(14, 0, 0))
    assert found.probability[1, 4, 4] == 200, "seen from 1.5 m away, when it was column 11"
    assert memory.remembered == 0, "all of it is looked at now, too"
    ahead = memory.fill(local_map(3, True, [far]), planar(14, 0, 0))
    assert ahead.probability[(1, *far)] == 200, "nobody was ever nearer to it"
    plain, lost = RasterMemory(OPTIONS), np.arange(20) > 1  # two of twenty columns blind: a camera is lost
    plain.fill(local_map(1, True, [near]), planar(7, 0, 0))
    plain.fill(local_map(2, True), planar(10.5, 0, 0))
    assert plain.fill(local_map(3, True), planar(14, 0, 0)).probability[1, 4, 4] == 0
    assert plain.fill(local_map(4, lost), planar(14, 0, 0)).probability[1, 4, 4] == 200
