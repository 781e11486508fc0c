# SPDX-License-Identifier: Apache-2.0
"""The drawn relief: every pixel shows the point where its ray first meets the ground, and a crest hides others."""

import cv2
import numpy as np
import pytest

from mapkd_core.geometry import inverse, planar, project
from mapkd_core.grid import BevGrid
from mapkd_core.worlds import rig
from mapkd_core.worlds.ground_view import draw_ground
from mapkd_core.worlds.relief import FLAT, Relief, first_met, relief_of
from mapkd_core.worlds.relief_view import draw_on_relief
from mapkd_core.worlds.sampling import GroundTexture, OpenCvSampler, pyramid

GRID = BevGrid(-38.4, 38.4, -38.4, 38.4, 0.1)
HILLS = relief_of(0.25, np.random.default_rng(3))


def small_rig():
    return rig.cropped_top(rig.scaled(rig.nuscenes_rig(), 352, 198), 70)


@pytest.fixture(scope="module")
def told() -> OpenCvSampler:
    """A texture whose colours are map coordinates: a grey level per 0.31 m, blue 200 everywhere."""
    ramp = np.full((*GRID.shape, 3), 200, np.uint8)
    ramp[..., :2] = np.round((GRID.centres() + 38.35) / 0.31)
    return OpenCvSampler(GroundTexture(*[pyramid(GRID, ramp, 2)] * 2))


def test_a_ray_meets_a_ramp_where_it_was_worked_out_by_hand():
    """Tangents 2 m above a plane: -2/d. Tangents of -0.1 at 20 m cover 30 m (-0.3) but not 40 m (-0.05)."""
    levels = np.array([[-2.0], [-0.2], [-0.1], [-0.3], [-0.05]])
    met = first_met(levels, 1 / np.array([1.0, 10.0, 20.0, 30.0, 40.0]), np.array([[-2.0], [-0.15], [-0.1], [0.0]]))
    assert met[0, 0] == 1.0
    assert met[1, 0] == pytest.approx((1 / 10 + 1 / 20) / 2)
    assert met[3, 0] == 0.0
    late = first_met(levels, 1 / np.array([1.0, 10.0, 20.0, 30.0, 40.0]), np.array([[-0.099]]))
    assert 1 / 40 < late[0, 0] <= 1 / 30  # nothing between 20 and 30 m is seen


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cameras", [rig.nuscenes_rig(), small_rig()], ids=["large", "small"])
def test_every_ground_point_is_drawn_where_the_calibration_projects_it(told, cameras, seed):
    """Points of the relief, projected with the lifted pose: the picture says their own coordinates there."""
    rng = np.random.default_rng(seed)
    map_T_ego = HILLS.lifted(planar(*rng.uniform(-5, 5, 2), rng.uniform(0, 6)))
    errors = []
    for camera in rig.perturbed(cameras, rng):
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        map_T_camera = map_T_ego @ camera.ego_T_camera
        draw_on_relief(image, told, camera.K, map_T_camera, HILLS)
        xy = rng.uniform(-36, 36, (6000, 2))
        xyz = np.column_stack([xy, HILLS.height(xy)])
        uv, depth = project(xyz, camera.K, map_T_camera)
        seen = (depth > 2) & (depth < 25) & (uv > 2).all(1) & (uv < (camera.width - 3, camera.height - 3)).all(1)
        u, v = uv[seen].astype(np.float32).T
        said = cv2.remap(image.astype(np.float32), u[:, None], v[:, None], cv2.INTER_LINEAR)[:, 0]
        assert said[:, 2].min() > 195  # ground, not sky
        errors.append(said[:, :2] * 0.31 - 38.35 - xy[seen])
    apart = np.hypot(*np.concatenate(errors).T)
    assert len(apart) > 1000
    assert np.median(apart) < 0.13  # grey levels are 0.31 m apart
    assert np.quantile(apart, 0.99) < 0.5


def test_a_crest_hides_the_dip_behind_it(told):
    """A sine of 3 m along x: from 4 m above x = 0 the trough at 22.5 cannot be seen, the rise behind it can."""
    waves = Relief(np.array([[3.0, 2 * np.pi / 30, 0.0, 0.0]]))  # crest at 7.5, trough at 22.5
    camera = rig.nuscenes_rig()[0]
    map_T_camera = waves.lifted(np.eye(4)) @ camera.ego_T_camera
    map_T_camera[:3, :3] = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    map_T_camera[:3, 3] = (0.0, 0.0, 4.0)
    image = np.zeros((900, 1600, 3), np.uint8)
    draw_on_relief(image, told, camera.K, map_T_camera, waves)
    ahead = image[:, 810, 0][image[:, 810, 2] > 195] * 0.31 - 38.35
    assert (ahead < 7.5).any() and (ahead > 30).any()
    assert ((ahead > 12) & (ahead < 28)).sum() <= 1  # the row that shows both


def test_a_flat_world_is_drawn_by_the_exact_plane(told):
    for camera in small_rig():
        one, other = (np.zeros((camera.height, camera.width, 3), np.uint8) for _ in range(2))
        draw_ground(one, told, camera.K, camera.ego_T_camera)
        draw_on_relief(other, told, camera.K, camera.ego_T_camera, FLAT)
        assert np.array_equal(one, other)


def test_a_nearly_flat_relief_is_drawn_like_the_plane(told):
    still = Relief(np.array([[1e-6, 0.05, 0.0, 0.0]]))
    for camera in rig.perturbed(small_rig(), np.random.default_rng(1)):
        one, other = (np.zeros((camera.height, camera.width, 3), np.uint8) for _ in range(2))
        draw_ground(one, told, camera.K, camera.ego_T_camera)
        draw_on_relief(other, told, camera.K, camera.ego_T_camera, still)
        apart = np.abs(one.astype(int) - other)
        assert (apart > 2).mean() < 0.004 and apart.mean() < 0.4


def test_cameras_that_look_down_are_drawn_too(told):
    camera = small_rig()[0]
    map_T_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    map_T_camera[:3, 3] = (0.0, 0.0, 3.0 + HILLS.height(np.zeros(2)))
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    draw_on_relief(image, told, camera.K, map_T_camera, HILLS)
    uv = camera.K @ (inverse(map_T_camera)[:3] @ (0.3, 0.0, HILLS.height((0.3, 0.0)), 1.0))
    u, v = np.round(uv[:2] / uv[2]).astype(int)
    assert abs(image[v, u, 0] * 0.31 - 38.35 - 0.3) < 0.31
