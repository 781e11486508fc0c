# SPDX-License-Identifier: Apache-2.0
"""Maps from JPEGs decoded smaller beside those from every pixel: the shipped network must hardly tell them apart."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core.bench.stages import rendered_frame
from mapkd_core.config import ModelConfig
from mapkd_core.data.frame_folder import read_frame_folder
from mapkd_core.data.reduced import decode, reduction_for, whole
from mapkd_core.evaluation.iou import argmax_labels
from mapkd_core.mapper import SHIPPED, Mapper
from mapkd_core.types import Frame


@pytest.fixture(scope="module")
def mapper():
    if not SHIPPED.is_file():
        pytest.skip("no weights ship with this checkout")
    return Mapper(backend="torch")


@pytest.fixture(scope="module", params=["rendered", "recorded"])
def frame(request, shared_data):
    if request.param != "recorded":
        return rendered_frame()
    if not (shared_data / "scene0061").is_dir():
        pytest.skip(f"no frame folder scene0061 in {shared_data}")
    return read_frame_folder(shared_data / "scene0061").frame


def decoded(frame: Frame, reduction, quality: int = 80) -> Frame:
    """Every picture through a JPEG, as image_transport sends it."""
    cameras = []
    for camera in frame.cameras:
        _, data = cv2.imencode(".jpg", camera.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        cameras.append(decode("jpeg", data, reduction).of(replace(camera, image=None)))
    return replace(frame, cameras=tuple(cameras))


@pytest.mark.parametrize(("factor", "share"), [(2, 0.99), (4, 0.98)])
def test_labels_agree_with_those_from_every_pixel(mapper, frame, factor, share):
    """Measured: of halved pictures 99.2 to 99.4 % of the cells have the same label, of quartered 98.4 to 98.8 %, and
    probabilities are 0.8 to 0.9 and 1.4 of 255 apart. What that costs in scores is in docs/results/reduced.json."""
    assert reduction_for(mapper.config)(1600, 900) == 4
    small = mapper.predict(decoded(frame, lambda *_: factor))
    full = mapper.predict(decoded(frame, whole))
    agree = argmax_labels(small.probability) == argmax_labels(full.probability)
    np.testing.assert_array_equal(small.observed, full.observed)
    assert agree.mean() > share
    assert np.abs(small.probability.astype(int) - full.probability).mean() < 1.5


def test_a_reduction_that_is_not_wanted_or_not_known_decodes_every_pixel():
    _, data = cv2.imencode(".jpg", np.full((900, 1600, 3), 90, np.uint8))
    assert decode("jpeg", data, reduction_for(ModelConfig())).pixels.shape == (225, 400, 3)
    for reduction in (reduction_for(ModelConfig(), is_reduced=False), reduction_for(None)):
        found = decode("jpeg", data, reduction)
        assert found.pixels.shape == (900, 1600, 3) and found.size == (1600, 900)
