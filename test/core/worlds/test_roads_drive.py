# SPDX-License-Identifier: Apache-2.0
"""Poses and boxes between the rows of a drive, and the asphalt of a map that does not say where it is."""

import numpy as np
import pytest
import shapely

from mapkd_core.worlds import drive
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.road_map import Agent, RoadMap

EGO = np.array([[0.0, 0, 0, np.pi - 0.1], [1.0, 10, 0, -np.pi + 0.1], [2.0, 10, 4, -np.pi + 0.1]])


def road_map(**fields):
    given = {"name": "hand", "dividers": (), "boundaries": (), "crossings": (), "centrelines": (), "ego": EGO}
    return RoadMap(**{**given, **fields})


def test_pose_is_interpolated_and_yaw_goes_the_short_way():
    pose = drive.pose_at(road_map(), 0.5)
    np.testing.assert_allclose(pose[:2, 3], [5, 0])
    np.testing.assert_allclose(pose[:2, 0], [-1, 0], atol=1e-12)  # heading pi, not 0
    np.testing.assert_allclose(drive.pose_at(road_map(), 9.0)[:2, 3], [10, 4])
    np.testing.assert_allclose(drive.pose_at(road_map(), -1.0)[:2, 3], [0, 0])
    assert drive.duration(road_map()) == 2.0


def test_agents_are_there_between_their_first_and_last_pose():
    passing = Agent("VEHICLE", 4.5, 1.9, 1.6, np.array([[0.5, 0, 2, 0], [1.5, 8, 2, 0]]))
    parked = Agent("VEHICLE", 4.0, 1.8, 1.5, np.array([[0.0, 3, 9, 1.0]]))
    both = road_map(agents=(passing, parked))
    assert [box.y for box in drive.boxes_at(both, 0.2)] == [9]
    first, second = drive.boxes_at(both, 1.0)
    assert (first.kind, first.x, first.y, first.length) == ("VEHICLE", 4.0, 2.0, 4.5)
    assert second.yaw == 1.0
    assert len(drive.boxes_at(both, 1.6)) == 1


def test_asphalt_lies_between_boundaries_even_without_a_lane_in_it():
    """Road 12 m wide along x with an island, cut at the rim; a car park (no lane) beside it."""
    lanes = (np.array([[-60.0, -3], [60, -3]]), np.array([[60.0, 3], [-60, 3]]))
    right, left = np.array([[60.0, -6], [-60, -6]]), np.array([[-60.0, 6], [60, 6]])  # road on the right of each
    island = np.array([[-10.0, -1], [10, -1], [10, 1], [-10, 1], [-10, -1]])
    park = np.array([[0.0, 10], [0, 30], [20, 30], [20, 10], [0, 10]])
    ego = np.array([[0.0, 0, 0, 0], [0.1, 0.5, 0, 0]])
    found = drivable_area(road_map(boundaries=(right, left, island, park), centrelines=lanes, ego=ego))
    for inside in [(0, 4), (0, -4), (30, 0), (-50, 5.9), (10, 20)]:
        assert shapely.contains_xy(found, *inside), inside
    for outside in [(0, 0), (0, 6.5), (0, -6.5), (10, 9), (30, 20), (0, 45), (0, -45)]:
        assert not shapely.contains_xy(found, *outside), outside


def test_without_consistent_sides_lanes_decide():
    lanes = (np.array([[-60.0, -3], [60, -3]]), np.array([[60.0, 3], [-60, 3]]))
    right, left = np.array([[-60.0, -6], [60, -6]]), np.array([[-60.0, 6], [60, 6]])
    found = drivable_area(road_map(boundaries=(right, left), centrelines=lanes, ego=EGO[:1]))
    assert shapely.contains_xy(found, 0, 0) and not shapely.contains_xy(found, 0, 8)
    assert found.area == pytest.approx(12 * 120, rel=0.02)


def test_without_boundaries_lanes_have_their_usual_width():
    found = drivable_area(road_map(centrelines=(np.array([[0.0, 0], [100, 0]]),)))
    assert shapely.contains_xy(found, 50, 1.5) and not shapely.contains_xy(found, 50, 2.5)


def test_given_asphalt_is_taken_as_it_is():
    given = shapely.MultiPolygon([shapely.box(0, 0, 1, 1)])
    assert drivable_area(road_map(drivable=given)) is given
