# SPDX-License-Identifier: Apache-2.0
"""The LiDAR hits what stands where it stands, and paint shines."""

import numpy as np
import pytest

from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.lidar import COLUMNS, MOUNT_M, REACH_M, RINGS, Lidar
from mapkd_core.worlds.roadside import Billboards, Roadside, Walls

POSE = planar(3.0, -2.0, 0.7)
GRID = BevGrid(-100, 100, -100, 100, 0.5)


def lidar(walls: Walls | None = None, coverage: np.ndarray | None = None, kerb_m: float = 0.0) -> Lidar:
    none = np.zeros((0, 2))
    walls = walls or Walls(none, none, none, np.zeros(0, int), np.zeros((0, 4)))
    roadside = Roadside(walls, Billboards(none, none, np.zeros(0, int)), ())
    paint = np.zeros(GRID.shape, np.uint8) if coverage is None else coverage
    return Lidar(roadside, paint, GRID, np.zeros(GRID.shape, np.float32), GRID, kerb_m)


def test_bare_ground_gives_rings_of_the_expected_radius():
    points = lidar().sweep(POSE, [], np.random.default_rng(0))
    ground = points[np.abs(points[:, 2]) < 0.1]
    assert points.shape[1] == 5 and points.dtype == np.float32
    assert len(points) <= RINGS * COLUMNS
    radius = np.hypot(ground[:, 0] - MOUNT_M[0], ground[:, 1] - MOUNT_M[1])
    expected = MOUNT_M[2] / np.tan(np.radians(30.67 - 41.34 / 31 * 10))  # the eleventh beam from below
    assert np.median(radius[ground[:, 4] == 10]) == pytest.approx(expected, abs=0.02)
    assert radius.max() < REACH_M
    assert points[:, 2].max() < 1.7  # nothing stands there but the own roof


def test_box_is_hit_on_its_near_side_and_hides_the_ground_behind():
    """A box 2 m wide, 10 m ahead in the ego frame; the pose turns it in the map."""
    x, y = POSE[:2, :2] @ (10.0, 0.0) + POSE[:2, 3]
    box = Box("VEHICLE", 4.0, 2.0, 1.5, x, y, 0.7)
    points = lidar().sweep(POSE, [box], np.random.default_rng(0))
    on = points[(points[:, 2] > 0.2) & (points[:, 2] < 1.4) & (points[:, 0] > 5)]
    assert len(on) > 50
    assert np.abs(on[:, 0] - 8.0).max() < 0.15
    assert np.abs(on[:, 1]).max() < 1.1
    shadow = points[(np.abs(points[:, 1]) < 0.5) & (points[:, 0] > 8.5) & (points[:, 0] < 20)]
    assert len(shadow) == 0


def test_wall_hides_another_wall_behind_it():
    start, end = np.array([[15.0, -20.0], [20.0, -20.0]]), np.array([[15.0, 20.0], [20.0, 20.0]])
    walls = Walls(start, end, np.array([[0.0, 5.0], [0.0, 5.0]]), np.zeros(2, int), np.zeros((2, 4)))
    points = lidar(walls).sweep(np.eye(4), [], np.random.default_rng(0))
    upright = points[(points[:, 2] > 0.5) & (points[:, 0] > 4)]
    assert np.abs(upright[np.abs(upright[:, 1]) < 10, 0] - 15.0).max() < 0.12


def test_paint_returns_more_light_and_the_kerb_lifts_the_pavement():
    coverage = np.zeros(GRID.shape, np.uint8)
    coverage[:, GRID.shape[1] // 2 :] = 255  # painted for x > 0 of the map
    points = lidar(coverage=coverage).sweep(np.eye(4), [], np.random.default_rng(0))
    ground = points[np.abs(points[:, 2]) < 0.1]
    assert np.median(ground[ground[:, 0] > 5, 3]) > 3 * np.median(ground[ground[:, 0] < -5, 3])
    distance = np.where(GRID.centres()[..., 1] > 4, 1.0, 0.0).astype(np.float32)
    raised = Lidar(lidar()._roadside, coverage, GRID, distance, GRID, 0.15).sweep(
        np.eye(4), [], np.random.default_rng(0)
    )
    beside, road = raised[raised[:, 1] > 5], raised[(raised[:, 1] < 3) & (raised[:, 1] > -8) & (raised[:, 2] < 1)]
    assert np.median(beside[:, 2]) == pytest.approx(0.15, abs=0.01)
    assert np.median(road[:, 2]) == pytest.approx(0.0, abs=0.01)
