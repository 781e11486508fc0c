# SPDX-License-Identifier: Apache-2.0
"""Pictures and intrinsics change together: what K says of a ground point is where its picture is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core import geometry
from mapkd_core.config import ModelConfig
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.data.prepare import fit_image, fit_intrinsics, model_camera, prepare, reduced, reduction
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
    "size", [(1600, 900), (1601, 903), (1280, 720), (640, 480), (400, 225), (352, 198), (320, 240), (701, 333)]
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


@pytest.mark.parametrize(
    "size", [(1600, 900), (1601, 903), (1920, 1208), (800, 450), (701, 333), (400, 225), (480, 270)]
)
def test_the_sky_is_left_out_before_scaling_and_no_pixel_changes(size):
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    camera, config = replace(_camera(*size, focal=900), image=image), ModelConfig()
    rows = round(size[1] * config.image_width / size[0])
    how = cv2.INTER_CUBIC if size[0] < 500 else cv2.INTER_AREA
    whole = cv2.resize(image, (config.image_width, rows), interpolation=how)[-config.image_height :]
    assert np.abs(fit_image(camera, config).astype(int) - whole).max() <= (size[1] in (1208, 333))


@pytest.mark.parametrize(
    ("size", "factor"),
    [((1600, 900), 4), ((1920, 1080), 4), ((2880, 1860), 4), ((1601, 900), 1), ((1280, 720), 2), ((704, 396), 2)],
)
def test_reduction_leaves_the_width_and_whole_pixels(size, factor):
    assert reduction(*size, ModelConfig()) == factor


@pytest.mark.parametrize(("factor", "mean", "far"), [(2, 1, 4), (4, 2, 9)])
def test_a_picture_decoded_smaller_gives_the_same_input_within_the_tolerance(factor, mean, far):
    rng, config = np.random.default_rng(1), ModelConfig()
    grey = cv2.resize(rng.integers(0, 256, (90, 160, 1), np.uint8), (1600, 900), interpolation=cv2.INTER_CUBIC)
    soft = np.stack([grey, grey, grey // 2 + 60], -1)
    _, data = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, 95])
    camera = _camera(1600, 900, focal=1260)
    full = replace(camera, image=decode_compressed("jpeg", data))
    small = reduced(camera, decode_compressed("jpeg", data, reduce=factor), factor)
    assert small.image.shape == (small.height, small.width, 3) == (900 // factor, 1600 // factor, 3)
    np.testing.assert_allclose(fit_intrinsics(small, config), fit_intrinsics(full, config), atol=1e-9)
    away = np.abs(fit_image(small, config).astype(int) - fit_image(full, config))
    assert away.mean() < mean and np.percentile(away, 99) <= far  # noise; pictures of roads are nearer
