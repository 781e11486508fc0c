# SPDX-License-Identifier: Apache-2.0
"""View transforms: pictures whose values say where they look come out at the right BEV cells, for any rig."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core import geometry
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.models.build import build, observed, plan
from mapkd_core.models.views.ground import GroundView
from mapkd_core.models.views.lift_splat import DEPTHS_M, LiftSplatView
from mapkd_core.models.views.projection import OUTSIDE, frustum_cells, ground_lookup
from mapkd_core.types import Camera
from mapkd_core.worlds.rig import nuscenes_rig, perturbed

CONFIG = ModelConfig()
SIZE = (CONFIG.image_height, CONFIG.image_width)


def _six() -> tuple[Camera, ...]:
    return tuple(model_camera(camera, CONFIG) for camera in nuscenes_rig())


def _three_of_another_make() -> tuple[Camera, ...]:
    """A truck's rig: higher, wider, turned and shifted, three cameras only."""
    rng = np.random.default_rng(4)
    high = [
        replace(c, ego_T_camera=geometry.transform(np.eye(3), (0, 0, 0.9)) @ c.ego_T_camera)
        for c in perturbed(nuscenes_rig(), rng, angle_rad=0.05)[:3]
    ]
    return tuple(model_camera(camera, CONFIG) for camera in high)


def _stacked(cameras):
    return np.stack([c.K for c in cameras]), np.stack([c.ego_T_camera for c in cameras])


@pytest.mark.parametrize("make_rig", [_six, _three_of_another_make])
def test_every_cell_fetches_the_pixel_that_sees_it(make_rig):
    """Pictures hold their own coordinates, which bilinear sampling keeps exactly: a cell must bring its projection."""
    cameras = make_rig()
    table = plan(CONFIG, *_stacked(cameras), np.ones(len(cameras), bool))
    context, detail = (torch.from_numpy(_own_places(len(cameras), stride)).float() for stride in (8, 4))
    out = GroundView(CONFIG)(context, detail, torch.from_numpy(table)[None])[0].permute(1, 2, 0).numpy()
    ground = np.concatenate([CONFIG.decoder_grid.centres(), np.zeros((*CONFIG.decoder_grid.shape, 1))], -1)
    for index, camera in enumerate(cameras):
        uv, depth = geometry.project(ground, camera.K, camera.ego_T_camera)
        for found, edge in ((out[..., :3], 4), (out[..., 3:], 4)):
            mine = (np.abs(found[..., 2] - index) < 1e-3) & (found[..., :2] > edge).all(-1)
            mine &= (found[..., 0] < SIZE[1] - 1 - edge) & (found[..., 1] < SIZE[0] - 1 - edge)
            assert mine.sum() > 100 and (depth[mine] > 0).all()
            np.testing.assert_allclose(found[mine][:, :2], uv[mine], atol=0.01)


def _own_places(cameras: int, stride: int) -> np.ndarray:
    """1 N 3 h w: column and row in pixels, and the camera's number, at the centre of each feature cell."""
    rows, columns = np.mgrid[: SIZE[0] // stride, : SIZE[1] // stride]
    places = [(columns + 0.5) * stride - 0.5, (rows + 0.5) * stride - 0.5]
    return np.stack([np.stack([*places, np.full(rows.shape, n)]) for n in range(cameras)])[None]


def test_invalid_cameras_are_never_read():
    cameras = _six()
    K, poses = _stacked(cameras)
    valid = np.array([True, False, True, True, False, True])
    table = torch.from_numpy(plan(CONFIG, K, poses, valid))[None]
    context, detail = torch.zeros(1, 6, 1, 16, 44), torch.zeros(1, 6, 1, 32, 88)
    context[:, ~valid], detail[:, ~valid] = 1.0, 1.0
    assert GroundView(CONFIG)(context, detail, table).abs().max() < 1e-4  # the table is single precision


def test_unseen_cells_are_zero_and_said_to_be_unseen():
    cameras = _six()[:1]
    table = plan(CONFIG, *_stacked(cameras), np.ones(1, bool))
    out = GroundView(CONFIG)(torch.ones(1, 1, 64, 16, 44), torch.ones(1, 1, 16, 32, 88), torch.from_numpy(table)[None])
    behind = CONFIG.decoder_grid.centres()[..., 0] < 1.0
    assert not out[0, :, torch.from_numpy(behind)].any()
    seen = GroundView.seen(torch.from_numpy(table)[None])[0, 0].numpy() > 0
    assert not seen[behind].any() and seen[50, 150]  # 15 m straight ahead
    np.testing.assert_array_equal(observed(CONFIG, table)[::2, 1::2], seen)
    assert observed(CONFIG, table).shape == CONFIG.grid.shape


def test_no_valid_camera_sees_nothing():
    table = plan(CONFIG, *_stacked(_six()), np.zeros(6, bool))
    assert (table == OUTSIDE).all()


def test_camera_that_sees_a_cell_nearest_to_its_middle_wins():
    """Two cameras at one place, one looking ahead and one 20 degrees left: each keeps its half of what both see."""
    ahead = _six()[0]
    turned = replace(ahead, ego_T_camera=geometry.planar(0, 0, np.radians(20)) @ ahead.ego_T_camera)
    turned.ego_T_camera[:3, 3] = ahead.ego_T_camera[:3, 3]
    table = ground_lookup(*_stacked((ahead, turned)), np.ones(2, bool), SIZE, CONFIG.decoder_grid, (0.0,))[0]
    camera = (table[..., 1] > 0).astype(int)
    grid = CONFIG.decoder_grid
    for degrees, wanted in ((2, 0), (18, 1)):
        x, y = 1.7 + 10 * np.cos(np.radians(degrees)), 10 * np.sin(np.radians(degrees))
        column, row = np.rint(grid.to_cells((x, y))).astype(int)
        assert camera[row, column] == wanted


def test_height_moves_the_look_up_up_the_picture():
    K, poses = _stacked(_six()[:1])
    low, high = ground_lookup(K, poses, np.ones(1, bool), SIZE, CONFIG.decoder_grid, (0.0, 1.0))
    assert high[50, 140, 1] < low[50, 140, 1] - 0.1


def test_frustum_points_fall_into_their_cells():
    """The principal ray of the front camera at depth 10 m: 11.7 m ahead of the rear axle, in the middle row."""
    ahead = _six()[0]
    K = ahead.K.copy()
    K[:2, 2] = (179.5, 67.5)  # the centre of a feature cell at 1/8
    grid = CONFIG.decoder_grid
    depths = np.array([2.0, 10.0, 40.0])
    cells = frustum_cells(K[None], ahead.ego_T_camera[None], np.ones(1, bool), SIZE, grid, depths, 8)
    assert cells.shape == (1, 3, 16, 44)
    row, column = divmod(int(cells[0, 1, 8, 22]), grid.shape[1])
    assert row in (49, 50) and column == int((1.7 + 10 + 30) / 0.3)
    assert cells[0, 2, 8, 22] == grid.shape[0] * grid.shape[1]  # 41.7 m is outside


def test_splat_sums_into_the_planned_cell_and_drops_the_rest(tiny):
    config = replace(tiny, view="lift_splat", camera_width=4)
    view = LiftSplatView(config)
    with torch.no_grad():
        view.lift.weight.zero_()
        view.lift.bias.zero_()
        view.lift.bias[len(DEPTHS_M) :] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    cells = view.shape[0] * view.shape[1]
    table = torch.full((1, 2, len(DEPTHS_M), 8, 12), cells, dtype=torch.int32)
    table[0, 1, :, 3, 5] = 37  # all depths of one pixel: probabilities add up to one
    out = view(torch.zeros(1, 2, 4, 8, 12), torch.zeros(1, 2, 8, 16, 24), table)
    assert out.shape == (1, 4, *config.decoder_grid.shape)
    torch.testing.assert_close(out.sum((0, 2, 3)) / 4, torch.tensor([1.0, 2.0, 3.0, 4.0]), rtol=1e-4, atol=1e-4)
    seen = observed(config, table[0].numpy())
    assert seen.shape == config.grid.shape and seen.sum() == 16  # one splat cell is 4 x 4 canvas cells


def test_lift_splat_observes_around_the_vehicle():
    config = replace(CONFIG, view="lift_splat")
    seen = observed(config, plan(config, *_stacked(_six()), np.ones(6, bool)))
    assert seen.shape == config.grid.shape and 0.3 < seen.mean() < 1.0


def test_bf16_does_not_move_where_features_are_read():
    """Rounding the table to bf16 would shift rows by up to 0.7 px; only the features may be rounded."""
    table = torch.from_numpy(plan(CONFIG, *_stacked(_six()), np.ones(6, bool)))[None]
    ramp = torch.linspace(0, 1, 16).view(1, 1, 1, 16, 1).expand(1, 6, 1, 16, 44)
    detail = torch.zeros(1, 6, 1, 32, 88)
    view = GroundView(CONFIG)
    exact, half = view(ramp, detail, table), view(ramp.bfloat16(), detail.bfloat16(), table)
    assert (exact - half.float()).abs().max() < 0.006


def test_unknown_view_is_refused():
    with pytest.raises(ValueError, match="unknown view transform 'mlp'; known: ground, lift_splat"):
        build(replace(CONFIG, view="mlp"))
