# SPDX-License-Identifier: Apache-2.0
"""The LiDAR hits what stands where it stands, while it moves, and paint shines."""

import numpy as np
import pytest
import shapely

from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.lidar import Lidar, join_sweeps, sensor
from mapkd_core.worlds.roadside import NOTHING_BESIDE, Roadside
from mapkd_core.worlds.walls import Billboards, Walls

POSE = planar(3.0, -2.0, 0.7)
GRID = BevGrid(-100, 100, -100, 100, 0.5)
LEVEL = planar(0.95, 0.0, 0.0)  # a mounting without tilt, 2 m up
LEVEL[2, 3] = 2.0
EVERYWHERE = shapely.MultiPolygon([shapely.box(-105, -105, 105, 105)])


def lidar(beside=NOTHING_BESIDE, coverage=None, area=EVERYWHERE, kerb_m=0.0, **options) -> Lidar:
    paint = np.zeros(GRID.shape, np.uint8) if coverage is None else coverage
    return Lidar(beside, area, paint, GRID, kerb_m, ego_T_lidar=options.pop("mount", LEVEL), **options)


def standing(points_of: Lidar, boxes=(), pose=POSE) -> np.ndarray:
    return points_of.sweep(lambda _: pose, lambda _: boxes, 1.0).points


def walls(*rows) -> Roadside:
    """Rows x0 y0 x1 y1 top."""
    r = np.array(rows, float)
    z = np.stack([np.zeros(len(r)), r[:, 4]], -1)
    found = Walls(r[:, :2], r[:, 2:4], z, np.zeros(len(r), int), np.zeros((len(r), 4)))
    return Roadside(found, NOTHING_BESIDE.billboards, ())


def test_rings_lie_at_the_beams_of_the_data_sheet():
    degrees = np.degrees(sensor.ELEVATIONS)
    assert degrees[0] == pytest.approx(-30.67) and degrees[31] == pytest.approx(10.67)
    assert np.diff(degrees) == pytest.approx(4 / 3, abs=0.001)


def test_bare_ground_gives_rings_of_the_expected_radius():
    points = standing(lidar())
    assert points.shape[1] == 6 and points.dtype == np.float32
    ground = points[points[:, 2] < 0.5]
    radius = np.hypot(ground[:, 0] - 0.95, ground[:, 1])
    assert np.median(radius[ground[:, 4] == 10]) == pytest.approx(2.0 / np.tan(np.radians(17.335)), abs=0.05)
    assert np.abs(ground[:, 2]).max() < 0.03  # range noise and the lasers' biases, no more
    assert set(np.unique(ground[:, 4])) <= set(range(23))  # ring 23 is level: it never meets the ground
    # At 17 degrees nothing gets lost; at 2.7 degrees, 43 m away, most does.
    assert (ground[:, 4] == 10).sum() > 0.96 * 1084
    assert (ground[:, 4] == 21).sum() < 0.5 * 1084


def test_tilted_sensor_lowers_the_rings_ahead():
    """1.4 degrees nose down: ring 15 at -10.67 degrees meets the ground at 12.07 degrees ahead, 9.27 behind."""
    ground = standing(lidar(mount=sensor.MOUNT), pose=np.eye(4))
    ring = ground[(ground[:, 4] == 15) & (np.abs(ground[:, 1]) < 0.3)]
    ahead, behind = ring[ring[:, 0] > 0, 0] - 0.95, 0.95 - ring[ring[:, 0] < 0, 0]
    assert np.median(ahead) == pytest.approx(1.84 / np.tan(np.radians(12.065)), abs=0.06)
    assert np.median(behind) == pytest.approx(1.84 / np.tan(np.radians(9.265)), abs=0.06)


def test_box_is_hit_on_its_near_side_and_hides_the_ground_behind():
    """A barrier 2 m wide, 10 m ahead in the ego frame; the pose turns it in the map."""
    x, y = POSE[:2, :2] @ (10.0, 0.0) + POSE[:2, 3]
    points = standing(lidar(), [Box("TRAFFIC_BARRIER", 4.0, 2.0, 3.0, x, y, 0.7)])
    on = points[(points[:, 2] > 0.5) & (points[:, 2] < 1.9) & (points[:, 0] > 5)]
    assert len(on) > 50
    assert np.abs(on[:, 0] - 8.0).max() < 0.06
    assert np.abs(on[:, 1]).max() < 1.1
    assert not len(points[(np.abs(points[:, 1]) < 0.5) & (points[:, 0] > 8.5) & (points[:, 2] < 0.3)])


def test_car_has_a_bonnet_before_its_cabin():
    """4 m long and 1.5 m high, so body up to 0.9 m and a cabin of 2.48 m on it: bonnet from x = 8 to 8.76."""
    points = standing(lidar(), [Box("VEHICLE", 4.0, 1.8, 1.5, 10.0, 0.0, 0.0)], np.eye(4))
    on = points[(np.abs(points[:, 1]) < 0.8) & (points[:, 0] > 7) & (points[:, 0] < 12) & (points[:, 2] > 0.1)]
    assert np.median(on[on[:, 2] < 0.8, 0]) == pytest.approx(8.0, abs=0.03)
    assert np.median(on[(on[:, 2] > 1.0) & (on[:, 2] < 1.4), 0]) == pytest.approx(8.76, abs=0.03)


def test_wall_hides_another_wall_behind_it():
    points = standing(lidar(walls((15, -20, 15, 20, 5), (20, -20, 20, 20, 5))), pose=np.eye(4))
    upright = points[(points[:, 2] > 0.5) & (points[:, 0] > 5)]
    assert len(upright) > 300
    assert np.abs(upright[np.abs(upright[:, 1]) < 10, 0] - 15.0).max() < 0.06


def test_paint_shines_and_water_dims_and_swallows():
    coverage = np.zeros(GRID.shape, np.uint8)
    coverage[:, GRID.shape[1] // 2 :] = 255  # painted for x > 0 of the map
    dry, wet = (standing(lidar(coverage=coverage, wet=wet), pose=np.eye(4)) for wet in (0.0, 1.0))
    assert np.median(dry[dry[:, 0] > 6, 3]) > 2 * np.median(dry[dry[:, 0] < -6, 3])
    assert np.median(wet[wet[:, 0] < -6, 3]) < np.median(dry[dry[:, 0] < -6, 3])
    far = [(np.hypot(points[:, 0], points[:, 1]) > 20) & (points[:, 0] < 0) for points in (dry, wet)]
    assert far[1].sum() < 0.7 * far[0].sum()


def test_kerb_has_a_face_and_lifts_what_lies_beside_the_road():
    """The road ends at y = 4, the kerb is 0.2 m high."""
    road = shapely.MultiPolygon([shapely.box(-50, -50, 50, 4)])
    points = standing(lidar(area=road, kerb_m=0.2), pose=np.eye(4))
    beside = points[(points[:, 1] > 4.2) & (points[:, 1] < 5.2)]
    on_road = points[(points[:, 1] < 3.9) & (points[:, 2] < 1)]
    assert np.median(beside[:, 2]) == pytest.approx(0.2, abs=0.01)
    assert np.median(on_road[:, 2]) == pytest.approx(0.0, abs=0.01)
    face = points[(points[:, 2] > 0.04) & (points[:, 2] < 0.16) & (np.abs(points[:, 0]) < 8) & (points[:, 1] < 5)]
    assert len(face) > 10
    assert np.median(face[:, 1]) == pytest.approx(4.0, abs=0.02)


def test_ground_far_from_the_kerb_is_uneven():
    road = shapely.MultiPolygon([shapely.box(-50, -50, 50, 4)])
    points = standing(lidar(area=road, kerb_m=0.2), pose=np.eye(4))
    far = points[(points[:, 1] > 12) & (points[:, 2] < 1.5)]
    assert len(far) > 300
    assert np.ptp(far[:, 2]) > 0.2
    # Still every point lies on its ray.
    away = np.hypot(far[:, 0] - 0.95, far[:, 1])
    assert np.arctan2(far[:, 2] - 2.0, away) == pytest.approx(sensor.ELEVATIONS[far[:, 4].astype(int)], abs=1e-4)


def test_crowns_leak():
    """A tree 8 m high before a wall: leaves answer inside the crown, and some rays reach the wall."""
    board = Billboards(np.array([[12.0, 0.0]]), np.array([[6.0, 8.0]]), np.array([15]))
    wall = walls((20, -9, 20, 9, 9)).walls
    points = standing(lidar(Roadside(wall, board, ())), pose=np.eye(4))
    high = points[(points[:, 2] > 2.9) & (np.abs(points[:, 1]) < 2.0)]
    leaves, through = high[high[:, 0] < 15], high[high[:, 0] > 19]
    assert len(leaves) > 20 and len(through) > 5
    # The crown: 2.4 m around the trunk, which stands 12 m ahead.
    assert np.hypot(leaves[:, 0] - 12.0, leaves[:, 1]).max() < 2.45
    assert np.ptp(leaves[:, 0]) > 1.0


def test_motion_is_undone_within_a_sweep_and_between_sweeps():
    """20 m/s past a wall: one turn is 1 m of way, and the wall stays straight and in its place."""
    drive = lambda t: planar(20.0 * t, 0.0, 0.0)  # noqa: E731
    world = lidar(walls((-60, 6, 120, 6, 4)))
    one = world.joined(drive, lambda _: [], 1.0)
    five = world.joined(drive, lambda _: [], 1.0, sweeps=5)
    for points in (one, five):
        wall = points[points[:, 2] > 0.5]
        assert np.abs(wall[wall[:, 1] > 2, 1] - 6.0).max() < 0.06
    assert one[:, 5].min() >= -0.05 and one[:, 5].max() <= 0
    assert five[:, 5].min() == pytest.approx(-0.25, abs=0.001)
    # Behind the left side the turn begins, then it goes clockwise: ahead after 98 of 360 degrees, on the right later.
    azimuth = np.degrees(np.arctan2(one[:, 1], one[:, 0] - 0.95 + 1.0 * (-one[:, 5] / 0.05)))
    far = np.hypot(one[:, 0], one[:, 1]) > 5
    assert np.median(one[far & (np.abs(azimuth) < 2), 5]) == pytest.approx(-0.05 * (1 - 98 / 360), abs=0.001)
    assert np.median(one[far & (np.abs(azimuth + 90) < 2), 5]) == pytest.approx(-0.05 * (1 - 188 / 360), abs=0.001)


def test_others_are_smeared_along_their_way_when_sweeps_are_joined():
    """A lorry that comes at 10 m/s: its front goes from 12.8 m at -0.2 s to 10.8 m now."""
    come = lambda t: [Box("VEHICLE", 4.0, 2.0, 3.0, 13.0 - 10.0 * (t - 1.0), 0.0, 0.0)]  # noqa: E731
    points = lidar().joined(lambda _: np.eye(4), come, 1.0, sweeps=5)
    front = points[(points[:, 2] > 0.5) & (points[:, 0] > 5) & (np.abs(points[:, 1]) < 0.9)]
    for age in range(5):
        turn = front[np.abs(front[:, 5] + 0.05 * age + 0.036) < 0.01]  # straight ahead is 36 ms before the stamp
        assert np.median(turn[:, 0]) == pytest.approx(11.0 + 10 * (0.05 * age + 0.036), abs=0.15)


def test_joining_moves_points_and_times():
    rows = np.array([[5.0, 0.0, 0.0, 9.0, 3.0]], np.float32)
    world = lidar()
    sweep = world.sweep(lambda _: planar(1.0, 2.0, np.pi / 2), lambda _: [], 0.5)._replace(points=rows)
    joined = join_sweeps([sweep], planar(1.0, 0.0, 0.0), 0.75)
    assert joined[0] == pytest.approx([0.0, 7.0, 0.0, 9.0, 3.0, -0.25], abs=1e-5)
    assert join_sweeps([], np.eye(4), 0.0).shape == (0, 6)
    with pytest.raises(ValueError, match=r"sweep 0 has shape \(4, 3\)"):
        join_sweeps([sweep._replace(points=np.zeros((4, 3), np.float32))], np.eye(4), 0.0)
    with pytest.raises(ValueError, match="sweeps = 0"):
        world.joined(lambda _: np.eye(4), lambda _: [], 0.0, sweeps=0)


def test_same_world_and_time_give_the_same_sweep():
    first, again = (standing(lidar(seed=5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, standing(lidar(seed=6)))
