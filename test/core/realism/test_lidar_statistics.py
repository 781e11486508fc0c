# SPDX-License-Identifier: Apache-2.0
"""Statistics of sweeps small enough to count by hand."""

import numpy as np
import pytest

from mapkd_core.realism.lidar_statistics import RANGE_EDGES_M, difference, ground_surface, lidar_statistics
from mapkd_core.types import MapElement

SENSOR = np.array([0.0, 0.0, 1.8])


def sweep() -> np.ndarray:
    """300 ground points in ring 5, 8 m around; 100 points 1.5 m high in ring 20; 50 points on the own roof."""
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    ground = np.column_stack([8 * np.cos(angle), 8 * np.sin(angle), 0 * angle, np.full(300, 10.0), np.full(300, 5)])
    wall = np.column_stack([np.full(100, 12.0), np.linspace(-3, 3, 100), np.full((100, 1), 1.5), np.full(100, 20.0)])
    wall = np.column_stack([wall, np.full(100, 20)])
    roof = np.column_stack([np.zeros((50, 2)), np.full((50, 3), 1.5)])
    return np.concatenate([ground, wall, roof]).astype(np.float32)


def test_points_are_counted_without_the_own_vehicle():
    found = lidar_statistics(sweep(), SENSOR, ())
    assert found["points"] == 400 and found["answered"] == pytest.approx(400 / (32 * 1084))
    assert found["ground"] == pytest.approx(0.75)
    assert found["per_ring"][5] == 300 and found["per_ring"][20] == 100 and sum(found["per_ring"]) == 400
    assert found["ground_per_ring"][5] == 300 and found["ground_per_ring"][20] == 0
    shares = dict(zip(RANGE_EDGES_M[:-1], found["range_shares"], strict=True))
    assert shares[5.0] == pytest.approx(0.75) and shares[10.0] == pytest.approx(0.25)  # 8.2 m and 12.0..12.4 m
    assert found["height_shares"][1] == pytest.approx(0.75) and found["height_shares"][4] == pytest.approx(0.25)
    assert found["roughness_m"] == pytest.approx(0, abs=1e-5)
    assert found["intensity_on_lines"] == [] and found["intensity"][2] == 10


def test_intensity_is_split_by_divider_lines():
    points = sweep()
    on = np.abs(points[:300, 1]) < 0.05  # three points lie on the x axis' line, around y = 0
    points[:300, 3] = np.where(on, 50.0, 10.0)
    line = MapElement("divider", np.array([[-10.0, 0.0], [10.0, 0.0]]))
    found = lidar_statistics(points, SENSOR, (line, MapElement("boundary", np.array([[0.0, -9.0], [0.0, 9.0]]))))
    assert found["intensity_on_lines"] == [50.0] * 5
    assert found["intensity_beside_lines"] == [10.0] * 5


def test_ground_surface_is_found_under_objects():
    rng = np.random.default_rng(0)
    xy = rng.uniform(-30, 30, (2000, 2))
    z = 0.01 * xy[:, 0] - 0.008 * xy[:, 1] + 0.0002 * xy[:, 0] ** 2
    above = rng.random(2000) < 0.3
    surface = ground_surface(np.column_stack([xy, z + above * rng.uniform(0.5, 3.0, 2000)]))
    assert surface(np.array([[10.0, 5.0], [-20.0, 0.0]])) == pytest.approx([0.08, -0.12], abs=0.01)


def test_differences_are_worked_by_hand():
    real = lidar_statistics(sweep(), SENSOR, ())
    assert all(value == 0 for value in difference(real, real).values())
    points = sweep()[100:]  # 200 ground points and the wall
    apart = difference(real, lidar_statistics(points, SENSOR, ()))
    assert apart["rings"] == pytest.approx(100 / 32 / 1084)
    assert apart["range"] == pytest.approx(3 / 4 - 2 / 3) and apart["ground"] == pytest.approx(2 / 3 - 3 / 4)


def test_a_sweep_of_the_own_roof_is_refused():
    with pytest.raises(ValueError, match=r"0 of 50 points lie farther than 1\.3 m"):
        lidar_statistics(sweep()[400:], SENSOR, ())
