# SPDX-License-Identifier: Apache-2.0
"""The GPU's way from JPEG to the network's picture, on CPU tensors, beside the CPU's own way."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.bags.write import encode_jpeg
from mapkd_core.config import ModelConfig
from mapkd_core.data import device_pictures
from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.data.prepare import fit_image, prepare
from mapkd_core.data.reduced import decode, reduction_for
from mapkd_core.data.tensor_fit import fit
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Camera, Frame
from mapkd_core.worlds.rig import nuscenes_rig, scaled


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Every pixel another, and a slope over it: scaling it wrongly shows."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 155, width)[None, :, None] * np.ones((height, 1, 3))
    return (slope + rng.integers(0, 100, (height, width, 3))).astype(np.uint8)


def host_decode(jpegs):
    """What a GPU's decoder hands over, from the CPU's."""
    return [torch.from_numpy(decode_compressed("jpeg", d).transpose(2, 0, 1).copy()) for d in jpegs]


@pytest.mark.parametrize(
    "width, height", [(1600, 900), (704, 256), (1280, 960), (400, 225), (353, 300), (352, 128), (200, 60)]
)
def test_fitting_agrees_with_the_cpu_within_one(width, height):
    """Fractions, whole factors, a little smaller, sky cut off and black below, nothing to do, and enlarging."""
    image, config = noise(width, height), ModelConfig()
    expected = fit_image(Camera("a", image, np.eye(3), np.eye(4), width, height), config)
    found = fit(torch.from_numpy(image).permute(2, 0, 1), config).permute(1, 2, 0).numpy()
    assert found.shape == expected.shape == (128, 352, 3)
    away = np.abs(found.astype(int) - expected)
    assert away.max() <= 1 and away.mean() < (0.001 if width >= 352 else 0.15), "OpenCV enlarges in fixed point"


def test_a_fitted_picture_brings_the_calibration_that_prepare_makes():
    camera, config = nuscenes_rig()[1], ModelConfig()
    data = encode_jpeg(noise(1600, 900))
    picture = decode("jpeg", data, OnDevice(config, "cpu", host_decode))
    assert picture.size == (1600, 900) and picture.pixels.shape == (128, 352, 3)
    whole = replace(camera, image=decode_compressed("jpeg", data))
    found, expected = (prepare(Frame((c,)), config) for c in (picture.of(camera), whole))
    np.testing.assert_allclose(found.K, expected.K)
    np.testing.assert_allclose(found.ego_T_camera, expected.ego_T_camera)
    assert np.abs(found.images.astype(int) - expected.images).max() <= 1


def test_the_map_of_the_device_is_that_of_whole_pictures(tiny, tmp_path, monkeypatch):
    weights = tmp_path / "tiny.safetensors"
    save_weights(weights, build(tiny).state_dict(), tiny, {"vectors": "query"})
    mapper, cameras = Mapper(weights, "torch"), scaled(nuscenes_rig()[:3], 400, 225)
    jpegs = [encode_jpeg(noise(400, 225, seed)) for seed in range(3)]
    expected = JpegPipeline(mapper, cameras, 1, is_reduced=False)(jpegs)
    asked = []
    on_device = OnDevice(tiny, "cuda", lambda given: asked.append(len(given)) or host_decode(given))
    monkeypatch.setattr(mapper, "device", "cuda")
    monkeypatch.setattr(device_pictures, "on_device", lambda config, device: on_device)
    found = JpegPipeline(mapper, cameras, 1)(jpegs)
    assert asked == [3], "all at once"
    assert found.valid_cameras == expected.valid_cameras
    assert np.abs(found.probability.astype(int) - expected.probability).max() <= 2


def test_a_picture_is_not_turned_by_what_its_exif_says():
    """The calibration belongs to the pixels as they are stored, and TorchCodec's decoder turns by itself."""
    data, exif = encode_jpeg(noise(400, 225)), b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03" + bytes(7)
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    came: list[bytes] = []
    on_device = OnDevice(ModelConfig(), "cpu", lambda given: came.extend(given) or host_decode(given))
    decode("jpeg", turned, on_device)
    assert came == [data]


def test_swapped_damaged_and_other_pictures():
    on_device = OnDevice(ModelConfig(), "cpu", host_decode)
    data = encode_jpeg(noise(400, 225))
    plain, swapped = (decode(f, data, on_device).pixels.numpy() for f in ("jpeg", "rgb8; jpeg compressed rgb8"))
    np.testing.assert_array_equal(plain, swapped[..., ::-1])
    with pytest.raises(ValueError, match="cut off"):
        decode("jpeg", data[:-300], on_device)

    def fails(jpegs):
        raise RuntimeError("nvjpegDecode failed: 3")

    with pytest.raises(ValueError, match="damaged: nvjpegDecode failed"):
        decode("jpeg", data, OnDevice(ModelConfig(), "cpu", fails))
    import cv2

    png = cv2.imencode(".png", noise(40, 20)[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode("png", png, on_device).pixels, noise(40, 20))


def test_without_a_decoder_the_cpu_decodes_and_says_why(caplog):
    """Here there is no CUDA device, whether or not TorchCodec is installed."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    device_pictures.on_device.cache_clear()
    with caplog.at_level(logging.WARNING):
        reduction = reduction_for(ModelConfig(), True, "cuda")
    assert reduction(1600, 900) == 4 and "JPEGs are decoded on the CPU and not on cuda" in caplog.text
    assert reduction_for(ModelConfig(), True, "cpu")(1600, 900) == 4


@pytest.mark.gpu
def test_a_gpu_decodes_as_the_cpu(caplog):
    if not torch.cuda.is_available() or device_pictures.on_device(ModelConfig(), "cuda") is None:
        pytest.skip("no GPU with TorchCodec here")
    data = encode_jpeg(noise(1600, 900), 95)
    expected = OnDevice(ModelConfig(), "cpu", host_decode).pictures([data] * 6)
    for found, picture in zip(device_pictures.on_device(ModelConfig(), "cuda").pictures([data] * 6), expected):
        assert np.abs(found.pixels.numpy().astype(int) - picture.pixels.numpy()).mean() < 1
