# SPDX-License-Identifier: Apache-2.0
"""Rendered paint lies where the vector truth is, in every camera, and small pictures are filtered large ones."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core.geometry import apply, inverse, project
from mapkd_core.grid import BevGrid
from mapkd_core.types import Camera
from mapkd_core.worlds import rig
from mapkd_core.worlds.appearance import draw_look
from mapkd_core.worlds.ground_view import draw_ground
from mapkd_core.worlds.relief import FLAT
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.sampling import GroundTexture, OpenCvSampler, pyramid

CLEAR = replace(
    draw_look(0),
    light="overcast",
    sun=0.0,
    visibility_m=1e6,
    wear=0.0,
    wet=0.0,
    stains=0.02,
    edge_line="none",
    asphalt=(70.0, 70.0, 70.0),
    white=(250.0, 250.0, 250.0),
    yellow=(250.0, 250.0, 250.0),
    crossing="ladder",
)


def small_rig() -> tuple[Camera, ...]:
    return rig.cropped_top(rig.scaled(rig.nuscenes_rig(), 352, 198), 70)


def straight_road() -> RoadMap:
    """A road along x, 14 m wide, with lanes of 3.5 m and a crossing; the vehicle stands on the right half."""
    xs = np.linspace(-60, 100, 81)

    def line(y: float) -> np.ndarray:
        return np.stack([xs, np.full_like(xs, y)], -1)

    ego = np.array([[0.0, 0.0, -1.75, 0.0], [1.0, 1.0, -1.75, 0.0]])
    lanes = (line(-5.25), line(-1.75), line(1.75)[::-1], line(5.25)[::-1])
    crossing = np.array([[12.0, -7.0], [16.0, -7.0], [16.0, 7.0], [12.0, 7.0]])
    return RoadMap(
        "straight", (line(0.0), line(-3.5), line(3.5)), (line(7.0), line(-7.0)[::-1]), (crossing,), lanes, ego
    )


@pytest.fixture(scope="module")
def world() -> Renderer:
    return Renderer(straight_road(), 5, CLEAR, relief=FLAT, suspension=False, effects=False, solids=False)


@pytest.mark.parametrize("cameras", [rig.nuscenes_rig(), small_rig()], ids=["large", "small"])
@pytest.mark.parametrize("turned", [False, True], ids=["nominal", "perturbed"])
def test_every_ground_pixel_shows_its_ground_point(cameras, turned):
    """A texture whose colours are coordinates: the picture must say where each pixel's ray meets the ground."""
    if turned:
        cameras = rig.perturbed(cameras, np.random.default_rng(3))
    grid = BevGrid(-12.8, 12.8, -12.8, 12.8, 0.1)
    centres = grid.centres()
    ramp = np.zeros((*grid.shape, 3), np.uint8)
    ramp[..., :2] = np.round((centres + 12.75) * 10)  # whole grey levels of 0.1 m
    texture = OpenCvSampler(GroundTexture(*[pyramid(grid, ramp, 2)] * 2))
    checked = 0
    for camera in cameras:
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        draw_ground(image, texture, camera.K, camera.ego_T_camera)
        points = np.random.default_rng(1).uniform(-11, 11, (3000, 2))
        uv, depth = project(np.column_stack([points, np.zeros(3000)]), camera.K, camera.ego_T_camera)
        seen = (depth > 2) & (depth < 11) & (uv > 2).all(1) & (uv < (camera.width - 3, camera.height - 3)).all(1)
        u, v = uv[seen].astype(np.float32).T
        said = cv2.remap(image.astype(np.float32), u[None], v[None], cv2.INTER_LINEAR)[0, :, :2] / 10 - 12.75
        error = said - points[seen]
        assert np.abs(error).max() < 0.25, camera.name  # a small picture's pixel covers 0.3 m at 11 m
        assert np.abs(np.median(error, axis=0)).max() < 0.02, camera.name  # grey levels are 0.1 m apart
        checked += int(seen.sum())
    assert checked > 300


def test_paint_lies_on_the_divider_within_a_cell(world):
    grid, image = world.texture.near[0]
    x = np.arange(-20, 20, 0.05)
    for y in (0.0, -3.5, 3.5):
        sides = np.arange(-24, 25) * 0.025
        columns, rows = np.moveaxis(grid.to_cells(np.stack(np.meshgrid(x, y + sides, indexing="ij"), -1)), -1, 0)
        profile = cv2.remap(image, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)[..., 0]
        assert (profile.max(axis=1) > 180).mean() > 0.2, "the line is hardly painted at all"
        painted = (profile > 180).mean(axis=0)
        across = sides[painted > 0.6 * painted.max()]
        assert abs(across.min() + across.max()) / 2 < 0.03  # double lines lie on both sides of it


@pytest.mark.parametrize("seed", [0, 1])
def test_projected_crossing_and_divider_fall_on_bright_pixels(world, seed):
    """Truth points that are painted in the texture are bright where the camera's calibration projects them."""
    cameras = rig.perturbed(small_rig(), np.random.default_rng(seed)) if seed else small_rig()
    frame = world.frame(0.0, cameras)
    grid, texture = world.texture.near[0]
    seen = 0
    for line in world.road_map.dividers:
        points = np.stack([np.arange(-14, 14, 0.1), np.full(280, line[0, 1])], -1)
        cells = np.round(grid.to_cells(points)).astype(int)
        bright = cv2.blur(texture[..., 0], (3, 3))[cells[:, 1], cells[:, 0]] > 180
        ego = apply(inverse(frame.odom_T_ego), np.column_stack([points, np.zeros(280)]))[bright]
        for camera in frame.cameras:
            uv, depth = project(ego, camera.K, camera.ego_T_camera)
            inside = (depth > 1) & (depth < 9) & (uv > 1).all(1) & (uv < (camera.width - 2, camera.height - 2)).all(1)
            u, v = np.round(uv[inside]).astype(int).T
            assert np.median(camera.image[v, u, 0]) > 150 if inside.sum() > 5 else True, camera.name
            seen += int(inside.sum())
    assert seen > 60


def test_small_picture_is_a_filtered_large_one(world):
    """Rendering at 352 x 198 differs little from rendering at 1600 x 900 and resizing by area."""
    large = world.frame(0.0, rig.nuscenes_rig())
    small = world.frame(0.0, rig.scaled(rig.nuscenes_rig(), 352, 198))
    for a, b in zip(large.cameras, small.cameras, strict=True):
        reduced = cv2.resize(a.image, (352, 198), interpolation=cv2.INTER_AREA).astype(float)
        difference = np.abs(reduced - b.image)
        assert difference.mean() < 3.0, a.name
        assert np.percentile(difference, 99) < 32, a.name


def test_cropping_the_camera_crops_the_picture(world):
    whole = world.frame(0.0, rig.scaled(rig.nuscenes_rig(), 352, 198)).cameras[0].image
    cut = world.frame(0.0, small_rig()).cameras[0].image
    assert np.abs(whole[70:].astype(int) - cut).mean() < 0.5


def test_cameras_that_fire_earlier_see_the_road_from_where_they_were(world):
    """The vehicle drives 1 m in the second: a picture taken at 0 s equals one of a rig told to be 1 m behind at 1 s."""
    cameras = small_rig()[:2]
    together = world.frame(0.0, cameras)
    late = world.frame(1.0, cameras, camera_times_s=(0.0, 1.0))
    assert np.array_equal(late.cameras[0].image, together.cameras[0].image)
    assert late.cameras[0].stamp_ns == 0 and late.cameras[1].stamp_ns == 1_000_000_000
    moved = late.cameras[0].ego_T_camera[:3, 3] - cameras[0].ego_T_camera[:3, 3]
    assert np.allclose(moved, (-1.0, 0.0, 0.0), atol=1e-9)
    assert np.array_equal(late.cameras[1].ego_T_camera, cameras[1].ego_T_camera)


def test_same_seed_same_pictures_other_seed_other_pictures():
    road_map = straight_road()
    one, again, other = (Renderer(road_map, seed, near_cell_m=0.2).frame(0.5, small_rig()[:2]) for seed in (4, 4, 9))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one.cameras, again.cameras, strict=True))
    assert np.abs(one.cameras[0].image.astype(int) - other.cameras[0].image).mean() > 5


def test_tilt_moves_the_picture_but_not_the_told_calibration():
    road_map = straight_road()
    options = {"effects": False, "solids": False, "near_cell_m": 0.2, "relief": FLAT}
    tilted = Renderer(road_map, 5, CLEAR, **options)
    level = Renderer(road_map, 5, CLEAR, **options, suspension=False)
    a, b = (r.frame(0.0, small_rig()[:1]).cameras[0] for r in (tilted, level))
    assert np.array_equal(a.ego_T_camera, b.ego_T_camera)
    assert np.abs(a.image.astype(int) - b.image).mean() > 0.5


def test_cell_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"near_cell_m = 0\.07"):
        Renderer(straight_road(), 5, CLEAR, near_cell_m=0.07)
