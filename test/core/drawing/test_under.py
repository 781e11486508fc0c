# SPDX-License-Identifier: Apache-2.0
"""LiDAR and maps from before the drive lie where they are, below the lines of the map."""

from __future__ import annotations

import numpy as np

from mapkd_core.drawing import Under, bev_panel, contact_sheet
from mapkd_core.drawing.colours import GROUND_POINT, PRIOR_COLOURS, RAISED_POINT
from mapkd_core.drawing.under import LIDAR, prior_colour
from mapkd_core.grid import BevGrid
from mapkd_core.types import Frame, LocalMap, MapElement

GRID = BevGrid()  # 60 m upwards in 612 rows below 26 for the title, 30 m across from column 34
SCALE = (660 - 26 - 22) / 60


def at(x, y):
    """Row and column of a place in a panel of the usual height."""
    return 26 + (30 - x) * SCALE, 34 + (15 - y) * SCALE


def where(image, colour):
    return np.argwhere((image == colour).all(-1))


def test_points_lie_where_they_are_and_show_what_stands_up():
    points = np.array([[20, 10, 0.1, 1, 0], [-20, -10, 1.5, 1, 0], [0, 5, 9.0, 1, 0], [40, 0, 0, 1, 0]], np.float32)
    panel = bev_panel(GRID, under=Under(points))
    for colour, place in ((GROUND_POINT, (20, 10)), (RAISED_POINT, (-20, -10))):
        found = where(panel, colour)
        assert len(found) == 1 and np.abs(found[0] - at(*place)).max() <= 1
    # What is above a roof or outside the map is not there.
    assert len(where(panel, RAISED_POINT)) == len(where(panel, GROUND_POINT)) == 1


def test_a_prior_is_dashed_inside_the_map_and_lies_below_the_lines():
    road = MapElement("road", np.array([[-50.0, 5.0], [50.0, 5.0]]))
    under = Under(priors={"sd": [road]})
    panel = bev_panel(GRID, under=under)
    rows = np.unique(where(panel, PRIOR_COLOURS["sd"])[:, 0])
    assert 0.35 * 612 < len(rows) < 0.75 * 612 and rows.min() >= 26 and rows.max() <= 26 + 612
    assert np.abs(where(panel, PRIOR_COLOURS["sd"])[:, 1] - at(0, 5)[1]).max() <= 1
    divider = MapElement("divider", road.vertices_m)
    covered = bev_panel(GRID, [divider], under=under)
    assert len(where(covered, PRIOR_COLOURS["sd"])) < 30


def test_the_sheet_draws_it_on_the_truth_and_names_it():
    under = Under(np.array([[20, 0, 1, 0]], np.float32), {"hd": [MapElement("road", np.array([[0.0, 1], [9, 1]]))]})
    assert under.names == (LIDAR, "hd")
    truth = (MapElement("divider", np.array([[0.0, 0], [9, 0]])),)
    sheet = contact_sheet(Frame(()), LocalMap(GRID, ()), truth, under=under)
    plain = contact_sheet(Frame(()), LocalMap(GRID, ()), truth)
    hd = where(sheet, PRIOR_COLOURS["hd"])
    assert hd[:, 1].max() > 1600 and (hd[:, 1] < 1300).any()  # on the right map, and in the legend
    assert np.array_equal(sheet[:, 1300:1580], plain[:, 1300:1580])  # the predicted map is as it was


def test_any_name_has_its_colour():
    assert prior_colour("sd") == PRIOR_COLOURS["sd"] and prior_colour("survey") == prior_colour("survey")
