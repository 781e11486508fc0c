# SPDX-License-Identifier: Apache-2.0
"""Pictures that lie on a device: kept where that is asked for, arrays of the same bits for everybody else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mapkd_core.data.prepare import model_camera, prepare
from mapkd_core.data.tensor_images import TensorImage, TensorImages
from mapkd_core.mapper import padded
from mapkd_core.robustness.flow import views
from mapkd_core.types import Camera, Frame
from mapkd_core.worlds.rig import nuscenes_rig, scaled


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8), (width, height))


def on_device(image: np.ndarray) -> TensorImage:
    return TensorImage(torch.from_numpy(image).permute(2, 0, 1).contiguous())


@pytest.fixture
def camera(tiny) -> Camera:
    return replace(model_camera(nuscenes_rig()[1], tiny), image=on_device(noise(96, 64)))


def test_prepare_brings_pictures_to_the_host_unless_they_shall_stay(tiny, camera):
    """Training and networks on the CPU see arrays; nothing on the device, and the answer is an array anyway."""
    frame, here = Frame((camera, replace(camera, image=None))), Frame((replace(camera, image=noise(96, 64)),))
    found, expected = prepare(frame, tiny).images, prepare(here, tiny, is_on_device=True).images
    assert isinstance(found, np.ndarray) and isinstance(expected, np.ndarray)
    np.testing.assert_array_equal(found, [expected[0], np.zeros((3, 64, 96))])
    kept = prepare(frame, tiny, is_on_device=True)
    assert isinstance(kept.images, TensorImages) and kept.images.shape == found.shape
    assert kept.valid.tolist() == [True, False]
    np.testing.assert_array_equal(kept.images.stacked("cpu").numpy(), found)


def test_a_rig_that_lost_a_camera_keeps_its_shape(tiny, camera):
    two, one = (prepare(Frame((camera,) * n), tiny, is_on_device=True) for n in (2, 1))
    found = padded(one, 2)
    assert found.images.shape == two.images.shape and found.valid.tolist() == [True, False]
    expected = padded(prepare(Frame((camera,)), tiny), 2)
    np.testing.assert_array_equal(found.images.stacked("cpu").numpy(), expected.images)
    np.testing.assert_array_equal(found.K, expected.K)


def test_host_code_looks_at_pixels(camera):
    """The watch of mounts, for one, which wants rows that lie together."""
    assert camera.is_held and camera.image.shape == (64, 96, 3) and camera.image.dtype == np.uint8
    np.testing.assert_array_equal(camera.pixels, noise(96, 64))
    assert camera.pixels.flags.c_contiguous
    found, expected = (views(Frame((c,)))[camera.name] for c in (camera, replace(camera, image=camera.pixels)))
    np.testing.assert_array_equal(found.texture, expected.texture)
    none = replace(camera, image=None)
    assert none.pixels is None and not none.is_held


def test_pictures_of_another_size(tiny):
    """Of another network: fitted on the host; of another calibration: refused."""
    whole = replace(scaled(nuscenes_rig()[:1], 400, 225)[0], image=on_device(noise(400, 225)))
    found = prepare(Frame((whole, whole)), tiny, is_on_device=True).images
    (expected,) = prepare(Frame((replace(whole, image=noise(400, 225)),)), tiny).images
    np.testing.assert_array_equal(found.stacked("cpu").numpy(), [expected, expected])
    with pytest.raises(ValueError, match=r"picture is \(\(225, 400, 3\), 'uint8'\), expected \(225, 399, 3\)"):
        prepare(Frame((replace(whole, width=399),)), tiny, is_on_device=True)


def test_what_lies_on_the_host_goes_up_alone(tiny, camera):
    """One of three is written from the staging buffer, and nothing else touches that."""
    images = prepare(
        Frame((camera, replace(camera, image=noise(96, 64, 1)), replace(camera, image=None))), tiny, is_on_device=True
    ).images
    target, staging = torch.full((3, 3, 64, 96), 7, dtype=torch.uint8), torch.full((3, 3, 64, 96), 9, dtype=torch.uint8)
    assert images.write_to(target, staging) == 1
    expected = np.stack([noise(96, 64), noise(96, 64, 1), np.zeros((64, 96, 3), np.uint8)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(target.numpy(), expected)
    assert (staging[0] == 9).all() and (staging[2] == 9).all()
