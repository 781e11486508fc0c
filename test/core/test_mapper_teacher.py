# SPDX-License-Identifier: Apache-2.0
"""Teachers through Mapper.predict: points and priors of the frame reach the network, and what is missing is absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.data.teacher_inputs import teacher_inputs
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame, MapElement

ROAD = (MapElement("road", np.array([(-8.0, 0.0), (8.0, 0.0)])),)


@pytest.fixture
def teacher(tiny, tmp_path) -> Mapper:
    """Random weights, LiDAR and both priors."""
    config = replace(tiny, modalities=("camera", "lidar", "sd", "hd"), lidar_width=8, prior_width=16)
    network = build(config).eval()
    torch.nn.init.normal_(network.raster.out.weight, std=0.3)
    torch.nn.init.normal_(network.decoder.attention.answer.weight, std=1.0)  # a fresh one heeds no prior
    save_weights(tmp_path / "teacher.safetensors", network.state_dict(), config, {})
    return Mapper(tmp_path / "teacher.safetensors")


@pytest.fixture
def frame(rig, make_sample) -> Frame:
    images = make_sample(0.0).prepared.images
    pictures = [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in images]
    points = np.random.default_rng(0).uniform(-3, 3, (60, 6)).astype(np.float32)
    cameras = tuple(replace(c, image=p) for c, p in zip(rig, pictures, strict=True))
    return Frame(cameras, points=points, sd=ROAD, hd=make_sample(0.0).elements)


def test_the_frame_gives_what_training_gives(teacher, frame, make_sample):
    """The same LiDAR and priors as a sample of training: points without their ring, priors drawn by the same code."""
    sample = replace(make_sample(0.0), points=frame.points[:, [0, 1, 2, 3, 5]], sd=ROAD, hd=frame.hd)
    found = teacher_inputs(sample, teacher.config, teacher.modalities)
    known = [found[name] for name in ("points", "sd", "hd")]
    np.testing.assert_array_equal(teacher.predict(frame).probability, teacher.predict(frame, known).probability)


@pytest.mark.parametrize("lost", ["points", "sd", "hd"])
def test_each_of_them_matters_and_may_be_missing(teacher, frame, lost):
    whole, without = teacher.predict(frame), teacher.predict(replace(frame, **{lost: None}))
    assert (whole.probability != without.probability).any()


def test_a_student_takes_no_notice(tiny, frame, tmp_path):
    network = build(tiny).eval()
    torch.nn.init.normal_(network.raster.out.weight, std=0.3)
    save_weights(tmp_path / "student.safetensors", network.state_dict(), tiny, {})
    student = Mapper(tmp_path / "student.safetensors", "torch")
    bare = replace(frame, points=None, sd=None, hd=None)
    np.testing.assert_array_equal(student.predict(frame).probability, student.predict(bare).probability)
    assert student.modalities == ("camera",) and not student.knows_more
