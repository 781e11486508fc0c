# SPDX-License-Identifier: Apache-2.0
"""Pictures and intrinsics change together: what K says of a ground point is where its picture is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core import geometry
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import fit_intrinsics, model_camera, prepare
from mapkd_core.types import Camera, Frame
from mapkd_core.worlds.rig import nuscenes_rig


def _camera(width: int, height: int, focal: float) -> Camera:
    K = np.array([[focal, 0, width / 2 + 7.3], [0, 1.1 * focal, height / 2 - 3.1], [0, 0, 1]])
    return replace(nuscenes_rig()[0], K=K, width=width, height=height)


def _spot(camera: Camera, xy: tuple[float, float]) -> np.ndarray:
    """A picture in which the ground point shows as a soft bright spot."""
    (u, v), _ = geometry.project((*xy, 0.0), camera.K, camera.ego_T_camera)
    rows, columns = np.mgrid[: camera.height, : camera.width]
    sigma = camera.width / 120
    spot = 255 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(
    "size", [(1600, 900), (1601, 903), (1280, 720), (640, 480), (352, 198), (320, 240), (701, 333)]
)
def test_ground_point_lands_where_the_new_intrinsics_say(size):
    config = ModelConfig()
    camera = _camera(*size, focal=0.8 * size[0])
    camera = replace(camera, image=_spot(camera, (9.0, 0.7)))
    prepared = prepare(Frame((camera,)), config)
    (u, v), _ = geometry.project((9.0, 0.7, 0.0), prepared.K[0], prepared.ego_T_camera[0])
    light = prepared.images[0, 0].astype(float)
    light[light < 3] = 0
    rows, columns = np.mgrid[: config.image_height, : config.image_width]
    found = (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()
    np.testing.assert_allclose(found, (u, v), atol=0.12)


def test_top_is_cut_and_bottom_kept():
    image = np.zeros((198, 352, 3), np.uint8)
    image[:70], image[-1] = 50, 200
    prepared = prepare(Frame((replace(_camera(352, 198, 300), image=image),)), ModelConfig())
    assert prepared.images.shape == (1, 3, 128, 352)
    assert (prepared.images[0, :, -1] == 200).all() and not (prepared.images == 50).any()


def test_low_picture_is_padded_below_and_its_intrinsics_stay():
    camera = replace(_camera(352, 100, 300), image=np.full((100, 352, 3), 9, np.uint8))
    prepared = prepare(Frame((camera,)), ModelConfig())
    assert (prepared.images[0, :, :100] == 9).all() and not prepared.images[0, :, 100:].any()
    np.testing.assert_array_equal(prepared.K[0], camera.K)


def test_channels_stay_red_green_blue():
    image = np.zeros((198, 352, 3), np.uint8)
    image[..., 0], image[..., 2] = 10, 30
    prepared = prepare(Frame((replace(_camera(352, 198, 300), image=image),)), ModelConfig())
    assert [int(c.max()) for c in prepared.images[0]] == [10, 0, 30]


def test_camera_without_picture_is_black_and_invalid():
    with_picture = replace(_camera(352, 198, 300), image=np.full((198, 352, 3), 9, np.uint8))
    prepared = prepare(Frame((with_picture, _camera(1600, 900, 1200))), ModelConfig())
    assert prepared.valid.tolist() == [True, False]
    assert not prepared.images[1].any()


def test_rendering_with_the_models_camera_needs_no_change():
    config = ModelConfig()
    camera = model_camera(_camera(1600, 900, 1260), config)
    assert (camera.width, camera.height) == (352, 128)
    np.testing.assert_allclose(fit_intrinsics(camera, config), camera.K)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((450, 800, 3), np.uint8), r"\(450, 800, 3\)"),
        (np.zeros((900, 1600), np.uint8), r"\(900, 1600\)"),
        (np.zeros((900, 1600, 3), np.float32), "float32"),
    ],
)
def test_picture_of_another_size_is_refused(image, found):
    with pytest.raises(ValueError, match=rf"CAM_FRONT: picture is .*{found}.*expected \(900, 1600, 3\) uint8"):
        prepare(Frame((replace(_camera(1600, 900, 1260), image=image),)), ModelConfig())


@pytest.mark.parametrize("K", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.eye(4)])
def test_bad_intrinsics_are_refused(K):
    with pytest.raises(ValueError, match="pinhole matrix with positive focal lengths"):
        prepare(Frame((replace(_camera(1600, 900, 1260), K=K),)), ModelConfig())


def test_frame_without_cameras_is_refused():
    with pytest.raises(ValueError, match="no camera"):
        prepare(Frame(()), ModelConfig())
