# SPDX-License-Identifier: Apache-2.0
"""Priors around the vehicle: in ego metres, cut to the grid, as lines and as raster."""

import numpy as np
import pytest

from mapkd_core.data import rasterise
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.priors.hd import HdDamage, damaged
from mapkd_core.worlds.priors.local import local_hd, local_sd, sd_layer
from mapkd_core.worlds.road_map import RoadMap

GRID = BevGrid()
EGO = np.array([[0.0, 100.0, 50.0, np.pi / 2], [1.0, 100.0, 51.0, np.pi / 2]])
# The vehicle looks along +y of the map: a road along x = 97 is 3 m to its left.
ALONG, ACROSS, FOOTWAY = ([97.0, 0.0], [97.0, 200.0]), ([0.0, 60.0], [300.0, 60.0]), ([99.0, 0.0], [99.0, 200.0])


def road_map(**changes) -> RoadMap:
    lines = tuple(np.array(line) for line in (ALONG, ACROSS, FOOTWAY))
    kinds = ("residential", "primary_link", "footway")
    return RoadMap("r", (lines[0],), (lines[1],), (), (), EGO, sd_roads=lines, sd_road_types=kinds, **changes)


def test_sd_lines_come_in_ego_metres_without_footways():
    elements = local_sd(road_map(), planar(100.0, 50.0, np.pi / 2), GRID)
    assert [e.class_name for e in elements] == ["road", "road"]
    along, across = (e.vertices_m for e in elements)
    assert along[:, 1] == pytest.approx([3.0, 3.0]) and sorted(along[:, 0]) == pytest.approx([-30.0, 30.0])
    assert across[:, 0] == pytest.approx([10.0, 10.0]) and sorted(across[:, 1]) == pytest.approx([-15.0, 15.0])


def test_sd_raster_covers_five_cells_across_the_line():
    layer = sd_layer(local_sd(road_map(), planar(100.0, 50.0, np.pi / 2), GRID), GRID)
    assert layer.shape == GRID.shape
    column = layer[:, 20]  # 27 m behind, where only the road along the drive is
    assert column.sum() == 5
    assert GRID.to_metres((20, np.flatnonzero(column).mean()))[1] == pytest.approx(3.0, abs=GRID.cell / 2 + 1e-9)
    assert not sd_layer((), GRID).any()


def test_sd_lines_that_touch_the_grid_for_a_moment_are_left_out():
    assert local_sd(road_map(), planar(100.0, 400.0, 0.0), GRID) == ()


def test_hd_prior_is_seen_from_the_true_pose():
    pose = planar(100.0, 50.0, np.pi / 2)
    prior = damaged(road_map(), HdDamage(shift_m=1.0), 3)
    divider = next(e for e in local_hd(prior, pose, GRID) if e.class_name == "divider")
    # The map is shifted by (dx, dy); from a vehicle that looks along +y, dx to the east is -dx to the left.
    assert divider.vertices_m[:, 1] == pytest.approx(np.full(2, 3.0 - prior.prior_T_map[0, 3]))
    layers = rasterise.layers(local_hd(prior, pose, GRID), GRID)
    assert layers.shape == (3, *GRID.shape) and layers[0].any() and not layers[1].any()
