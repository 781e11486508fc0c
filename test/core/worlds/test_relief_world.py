# SPDX-License-Identifier: Apache-2.0
"""A world on relief: truth lies on the paint, feet on the ground, LiDAR points on h, and poses tangent on all of it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core.data.augment import mirror, move
from mapkd_core.data.camera_truth import camera_lines
from mapkd_core.data.prepare import prepare
from mapkd_core.data.samples import Sample, SampleFolder, write
from mapkd_core.geometry import apply, inverse, planar, project
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES
from mapkd_core.worlds import drive, rig
from mapkd_core.worlds.appearance import draw_look
from mapkd_core.worlds.relief import Relief
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.road_map import Agent, RoadMap
from mapkd_core.worlds.truth import local_elements

# Waves along x and across, 60 m and 90 m long: 0.9 m below the vehicle's plane 20 m ahead.
HILLS = Relief(np.array([[0.6, 2 * np.pi / 60, 0.0, 1.2], [0.5, 0.02, 2 * np.pi / 90, 0.4]]))
LOOK = replace(
    draw_look(0), light="overcast", sun=0.0, visibility_m=1e6, wear=0.0, wet=0.0, edge_line="none",
    asphalt=(60.0, 60.0, 60.0), white=(250.0, 250.0, 250.0), yellow=(250.0, 250.0, 250.0), buildings=0.0, greenery=0.0,
)  # fmt: skip
CAMERAS = rig.scaled(rig.nuscenes_rig(), 800, 450)


def crossed_road() -> RoadMap:
    """A road along x with crossings every 12 m, and a lorry that stands 15 m ahead on the left."""
    xs = np.linspace(-60, 100, 81)

    def line(y: float) -> np.ndarray:
        return np.stack([xs, np.full_like(xs, y)], -1)

    ego = np.array([[0.0, 0.0, -1.75, 0.0], [2.0, 16.0, -1.75, 0.0]])
    crossings = tuple(np.array([[x, -7.0], [x + 3, -7.0], [x + 3, 7.0], [x, 7.0]]) for x in (-26.0, -14.0, 10.0, 22.0))
    lorry = Agent("VEHICLE", 6.0, 2.4, 3.0, np.array([[0.0, 16.0, 5.0, 0.0]]))
    lanes = (line(-5.25), line(-1.75), line(1.75)[::-1], line(5.25)[::-1])
    edges = (line(7.0), line(-7.0)[::-1])
    return RoadMap("crossed", (line(0.0),), edges, crossings, lanes, ego, agents=(lorry,))


@pytest.fixture(scope="module")
def world() -> Renderer:
    return Renderer(crossed_road(), 5, LOOK, relief=HILLS, effects=False, near_cell_m=0.1, lidar_sweeps=2)


def lifted(xy: np.ndarray) -> np.ndarray:
    return np.column_stack([xy, HILLS.height(xy)])


def told(world: Renderer, time_s: float) -> Sample:
    pose = drive.pose_at(world.road_map, time_s)
    elements = local_elements(world.road_map, pose, BevGrid())
    config = type("Size", (), {"image_width": 352, "image_height": 128})
    return Sample(prepare(world.frame(time_s, CAMERAS), config), elements, relief=HILLS.seen_from(pose))


def test_paint_lies_where_the_relief_projects_it_and_not_on_the_plane(world):
    """Painted points of crossings ahead: bright at the relief's height, dark asphalt at height 0."""
    time_s, (grid, texture) = 0.5, world.texture.near[0]
    pose = world.pose_at(time_s) @ world.tilt_at(time_s)
    camera = world.true_frame(time_s, CAMERAS[:1]).cameras[0]
    xy = np.random.default_rng(0).uniform((0, -6), (30, 2), (8000, 2))
    cells = np.round(grid.to_cells(xy)).astype(int)
    painted = xy[cv2.erode(texture[..., 2], np.ones((3, 3)))[cells[:, 1], cells[:, 0]] > 180]
    local = painted - drive.pose_at(world.road_map, time_s)[:2, 3]
    ground = HILLS.seen_from(drive.pose_at(world.road_map, time_s))
    assert ground.height(local) == pytest.approx(
        apply(inverse(world.pose_at(time_s)), lifted(painted))[:, 2], abs=0.005
    )
    bright = {}
    for name, z in (("relief", ground.height(local)), ("plane", np.zeros(len(local)))):
        uv, depth = project(np.column_stack([local, z]), camera.K, camera.ego_T_camera)
        inside = (depth > 3) & (depth < 18) & (uv > 1).all(1) & (uv < (798, 448)).all(1)
        u, v = np.round(uv[inside]).astype(int).T
        bright[name] = (camera.image[v, u, 2] > 150).mean()
        assert inside.sum() > 100
    assert bright["relief"] > 0.9 and bright["plane"] < 0.3
    # The calibration that is told knows nothing of the springs.
    assert camera.ego_T_camera == pytest.approx(inverse(world.pose_at(time_s)) @ pose @ CAMERAS[0].ego_T_camera)


def test_poses_lie_tangent_and_cameras_that_fire_earlier_keep_their_place(world):
    frame = world.frame(1.0, CAMERAS[:2], (0.9, 1.0))
    assert frame.odom_T_ego[2, 3] == pytest.approx(HILLS.height((8.0, -1.75)))
    then = world.pose_at(0.9) @ CAMERAS[0].ego_T_camera
    assert frame.odom_T_ego @ frame.cameras[0].ego_T_camera == pytest.approx(then)
    assert np.array_equal(frame.cameras[1].ego_T_camera, CAMERAS[1].ego_T_camera)


def test_wheels_stand_on_the_drawn_ground(world):
    """The lorry's picture begins where its foot is projected by the relief's height: it differs from a bare road."""
    bare = Renderer(replace(crossed_road(), agents=()), 5, LOOK, relief=HILLS, effects=False, near_cell_m=0.1)
    camera = rig.scaled(rig.nuscenes_rig(), 1600, 900)[0]
    one, other = (r.frame(0.0, (camera,)).cameras[0].image.astype(int) for r in (world, bare))
    rows, _ = np.nonzero(np.abs(one - other).sum(-1) > 60)
    body = world.pose_at(0.0) @ world.tilt_at(0.0)
    corners = np.array([[x, y] for x in (13.0, 19.0) for y in (3.8, 6.2)])
    foot, _ = project(np.column_stack([corners, HILLS.height(corners)]), camera.K, body @ camera.ego_T_camera)
    assert len(rows) > 1000
    assert rows.max() == pytest.approx(foot[:, 1].max(), abs=12)  # shadow and tyres


def test_lidar_points_lie_on_the_relief(world):
    """Back in the map by pose and tilt, points on the road are at h within range noise; the plane is far off."""
    points = world.frame(1.5, ()).points
    in_map = apply(world.pose_at(1.5) @ world.tilt_at(1.5), points[:, :3])
    on_road = (np.abs(in_map[:, 1]) < 6.5) & ~((np.abs(in_map[:, 0] - 16) < 4) & (in_map[:, 1] > 3))
    on_road &= np.hypot(*points[:, :2].T) > 4  # not the own roof
    above = in_map[on_road, 2] - HILLS.height(in_map[on_road, :2])
    assert len(above) > 4000 and set(np.unique(points[:, 5] < -0.05)) == {False, True}
    assert np.median(np.abs(above)) < 0.01
    assert (np.abs(above) < 0.05).mean() > 0.95
    assert np.ptp(in_map[on_road, 2]) > 0.8


def test_the_lorry_is_hit_from_its_foot_to_its_roof(world):
    points = world.frame(0.0, ()).points
    in_map = apply(world.pose_at(0.0) @ world.tilt_at(0.0), points[:, :3])
    side = in_map[(np.abs(in_map[:, 0] - 13.0) < 0.1) & (np.abs(in_map[:, 1] - 5) < 1.3)]
    above = side[:, 2] - HILLS.height(side[:, :2])
    above = above[above > 0.1]  # the ground before and behind its side is hit, too
    assert len(above) > 100 and 0.3 < above.min() < 0.8 and 2.6 < above.max() < 3.1


def test_samples_keep_the_relief_and_their_lines_move_with_it(world, tmp_path):
    sample = told(world, 0.5)
    write(tmp_path, "0", [sample, told(world, 1.0)])
    back = SampleFolder(tmp_path)[0]
    around = np.random.default_rng(1).uniform(-20, 20, (30, 2))
    assert back.relief.height(around) == pytest.approx(sample.relief.height(around))
    lines = camera_lines(back.elements, back.prepared, CLASSES, back.relief)
    assert np.array_equal(lines, camera_lines(sample.elements, sample.prepared, CLASSES, sample.relief))
    assert (lines != camera_lines(back.elements, back.prepared, CLASSES)).any()
    moved = move(back, planar(1.0, -0.5, 0.2))
    again = camera_lines(moved.elements, moved.prepared, CLASSES, moved.relief)
    assert (again != lines).mean() < 0.006  # the pictures are the same: lines stay, but for rounding
    other = mirror(back)
    mirrored = camera_lines(other.elements, other.prepared, CLASSES, other.relief)
    assert (mirrored[..., ::-1] != lines).mean() < 0.006
