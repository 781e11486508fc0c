# SPDX-License-Identifier: Apache-2.0
"""Metres and cells: hand-worked places of the default grid, and the inverse of each way."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.grid import BevGrid


def test_default_grid_is_the_papers_canvas():
    grid = BevGrid()
    assert grid.shape == (200, 400)
    assert grid.bounds == (-30.0, -15.0, 30.0, 15.0)


def test_first_cell_lies_behind_on_the_right():
    grid = BevGrid()
    np.testing.assert_allclose(grid.to_metres((0, 0)), (-29.925, -14.925))
    np.testing.assert_allclose(grid.to_cells((-30.0, -15.0)), (-0.5, -0.5))
    np.testing.assert_allclose(grid.to_cells((0.0, 0.0)), (199.5, 99.5))


def test_rows_run_to_the_left_and_columns_ahead():
    centres = BevGrid().centres()
    assert centres.shape == (200, 400, 2)
    np.testing.assert_allclose(centres[1, 0] - centres[0, 0], (0, 0.15), atol=1e-12)
    np.testing.assert_allclose(centres[0, 1] - centres[0, 0], (0.15, 0), atol=1e-12)


def test_cells_and_metres_are_inverse():
    grid = BevGrid(-10.0, 50.0, -12.0, 12.0, 0.3)
    points = np.random.default_rng(0).uniform(-20, 20, (50, 2))
    np.testing.assert_allclose(grid.to_metres(grid.to_cells(points)), points, atol=1e-12)


def test_coarser_keeps_the_rectangle():
    coarse = BevGrid().coarser(2)
    assert coarse.shape == (100, 200)
    assert coarse.bounds == BevGrid().bounds


@pytest.mark.parametrize("limits", [(5, 5, 0, 1, 0.1), (0, 1, 1, 0, 0.1), (0, 1, 0, 1, 0.0), (0, 1, 0, 1, -0.1)])
def test_empty_grid_is_refused(limits):
    with pytest.raises(ValueError, match="empty grid"):
        BevGrid(*limits)


def test_part_of_a_cell_is_refused():
    with pytest.raises(ValueError, match=r"y range of 3\.1 m"):
        BevGrid(0, 3, 0, 3.1, 0.15)


def test_a_grid_contains_what_does_not_reach_farther():
    wide, narrow = BevGrid(-30.0, 30.0, -15.0, 15.0, 0.15), BevGrid(-30.0, 29.9, -15.0, 14.0, 0.1)
    assert wide.contains(narrow) and wide.contains(wide) and not narrow.contains(wide)
