# SPDX-License-Identifier: Apache-2.0
"""Truth at a pose against cases worked by hand: grid 60 x 30 m, ego looking north at (100, 50) of the map."""

import numpy as np
import pytest
import shapely

from mapkd_core import geometry
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.truth import local_elements

GRID = BevGrid()
NORTH = geometry.planar(100.0, 50.0, np.pi / 2)  # ego (x, y) lies at map (100 - y, 50 + x)


def to_map(*ego_xy):
    return np.array([(100.0 - y, 50.0 + x) for x, y in ego_xy])


def elements(dividers=(), boundaries=(), crossings=(), pose=NORTH):
    road_map = RoadMap("hand", tuple(dividers), tuple(boundaries), tuple(crossings), (), np.array([[0.0, 0, 0, 0]]))
    return local_elements(road_map, pose, GRID)


def test_a_line_is_cut_at_the_range_and_lies_in_ego_metres():
    (found,) = elements(dividers=[to_map((-50, 2), (0, 2), (50, 2))])
    assert found.class_name == "divider" and not found.is_closed and found.confidence == 1.0
    np.testing.assert_allclose(found.vertices_m, [(-30, 2), (0, 2), (30, 2)], atol=1e-9)


def test_a_line_that_leaves_and_returns_gives_two_elements():
    found = elements(dividers=[to_map((-10, 0), (-10, 20), (10, 20), (10, 0))])
    ends = sorted(tuple(np.round(e.vertices_m[i], 6)) for e in found for i in (0, -1))
    assert ends == [(-10, 0), (-10, 15), (10, 0), (10, 15)]


def test_touching_dividers_are_one_line_but_a_hairpin_is_two():
    straight = elements(dividers=[to_map((0, 0), (5, 0)), to_map((10, 0.5), (5, 0))])
    assert len(straight) == 1 and len(straight[0].vertices_m) == 3
    hairpin = elements(dividers=[to_map((0, 0), (5, 0)), to_map((5, 0), (0, 1))])
    assert len(hairpin) == 2


def test_three_lines_at_one_point_stay_three():
    assert len(elements(dividers=[to_map((0, 0), end) for end in ((5, 0), (-5, 3), (-5, -3))])) == 3


def test_corner_cuts_below_a_metre_are_dropped():
    assert elements(dividers=[to_map((29.5, 15.2), (30.2, 14.5))]) == ()
    assert len(elements(dividers=[to_map((28.5, 15.2), (30.2, 13.5))])) == 1


def test_a_crossing_cut_by_the_range_is_the_closed_outline_of_its_part():
    (found,) = elements(crossings=[to_map((28, -2), (32, -2), (32, 2), (28, 2))])
    assert found.class_name == "ped_crossing" and found.is_closed
    polygon = shapely.Polygon(found.vertices_m)
    assert polygon.symmetric_difference(shapely.box(28, -2, 30, 2)).area < 1e-9
    assert not np.array_equal(found.vertices_m[0], found.vertices_m[-1])


def test_a_ring_inside_is_closed_and_a_ring_across_the_edge_is_open():
    ring = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]
    (inside,) = elements(boundaries=[to_map(*ring)])
    assert inside.is_closed and len(inside.vertices_m) == 4
    # It starts inside, so the cut halves must be joined to one line again: 3 + 8 + 3 metres from edge to edge.
    (cut,) = elements(boundaries=[to_map((28, 2), (28, -2), (35, -2), (35, 6), (28, 6), (28, 2))])
    assert not cut.is_closed
    assert shapely.LineString(cut.vertices_m).length == pytest.approx(2 + 8 + 2)


def test_a_bow_tie_crossing_becomes_its_two_triangles():
    found = elements(crossings=[to_map((0, 0), (4, 4), (4, 0), (0, 4))])
    assert [e.is_closed for e in found] == [True, True]
    assert sum(shapely.Polygon(e.vertices_m).area for e in found) == pytest.approx(8.0)


def test_nothing_near_gives_nothing_and_classes_come_in_order():
    far = to_map((200, 0), (300, 0))
    assert elements(dividers=[far], boundaries=[far]) == ()
    line = to_map((-5, 1), (5, 1))
    ring = to_map((0, 0), (2, 0), (2, 2))
    assert [e.class_name for e in elements([line], [line + 3], [ring])] == ["divider", "ped_crossing", "boundary"]
