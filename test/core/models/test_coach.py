# SPDX-License-Identifier: Apache-2.0
"""A coach: a second image encoder and lift-splat stand where the LiDAR would, and no point is ever looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import collate, to_batch
from mapkd_core.models.build import build
from mapkd_core.models.camera import CameraEncoder
from mapkd_core.models.views.lift_splat import DEPTHS_M, LiftSplatView
from mapkd_core.types import MapElement


@pytest.fixture
def coach(tiny):
    return replace(tiny, modalities=("camera", "simulated_lidar", "sd", "hd"), lidar_width=8, prior_width=16)


@pytest.fixture
def batch(make_sample, coach):
    """Two frames, with a cloud that a coach must not see."""
    frames = []
    for shift in (0.0, 0.4):
        sample = make_sample(shift)
        points = np.random.default_rng(1).uniform(-3, 3, (50, 5)).astype(np.float32)
        road = MapElement("road", np.array([(-6.0, 0.0), (6.0, 0.5)]))
        rich = replace(sample, points=points, sd=(road,), hd=sample.elements)
        frames.append(to_batch(rich, TrainConfig(model=coach)))
    return collate(frames)


def _run(model, batch, **changed):
    given = {name: getattr(batch, name) for name in ("images", "plan", "sd", "hd", "frustum")} | changed
    return model(**given)


def test_the_batch_of_a_coach_has_its_frustums_and_no_points(batch, coach):
    assert batch.points is None
    assert batch.frustum.shape == (2, 6, len(DEPTHS_M), 8, 12)
    sample_plan = LiftSplatView(coach).shape
    assert int(batch.frustum.max()) == sample_plan[0] * sample_plan[1]  # one past the last cell: outside


def test_its_lidar_bev_is_like_a_teachers(batch, coach):
    teacher = build(replace(coach, modalities=("camera", "lidar"))).eval()
    with torch.inference_mode():
        mine, theirs = _run(build(coach).eval(), batch), teacher(batch.images, batch.plan, torch.zeros(2, 0, 5))
    assert mine.lidar_bev.shape == theirs.lidar_bev.shape == (2, 8, 20, 40)
    assert mine.fused.shape == theirs.fused.shape and mine.bottleneck.shape == theirs.bottleneck.shape


def test_points_change_nothing(batch, coach):
    model = build(coach).eval()
    with torch.inference_mode():
        without, with_ = _run(model, batch), _run(model, batch, points=torch.rand(2, 40, 5))
    assert torch.equal(without.semantic, with_.semantic) and torch.equal(without.lidar_bev, with_.lidar_bev)


def test_the_pictures_make_the_simulated_lidar(batch, coach):
    model = build(coach).eval()
    with torch.inference_mode():
        seen, dark = _run(model, batch), _run(model, batch, images=torch.zeros_like(batch.images))
    assert not torch.allclose(seen.lidar_bev, dark.lidar_bev, atol=1e-4)


def test_gradients_reach_every_part(batch, coach):
    model = build(coach).train()
    torch.nn.init.normal_(model.decoder.attention.answer.weight, std=0.5)  # it starts as the identity
    output = _run(model, batch)
    scores, points = output.queries[-1]
    parts = (output.semantic, output.embedding, output.direction, scores, points)
    torch.stack([part.square().mean() for part in parts]).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Scores and points of earlier refinements answer for themselves, and a bias before a norm or a softmax for nothing.
    assert not [n for n in silent if n.startswith(("camera", "lidar", "priors", "decoder")) and "bias" not in n], silent


def test_its_two_encoders_share_nothing_and_start_alike(coach, tiny):
    model = build(coach)
    first, second = model.camera_encoders
    assert first is model.camera and second is model.lidar.encoder and isinstance(second, CameraEncoder)
    given = build(tiny).camera.state_dict()
    for encoder in model.camera_encoders:
        encoder.start(given)
    assert second.detail is None and "detail.conv.weight" in given
    assert torch.equal(second.smooth.conv.weight, first.smooth.conv.weight)
    assert second.smooth.conv.weight is not first.smooth.conv.weight


def test_without_frustums_it_says_what_is_missing(batch, coach):
    with pytest.raises(ValueError, match=r"needs the cells of the cameras' frustums.*Batch\.frustum"):
        build(coach)(batch.images, batch.plan)


def test_lidar_is_real_or_simulated(coach):
    with pytest.raises(ValueError, match="lidar and simulated_lidar stand in one place; take one"):
        build(replace(coach, modalities=("camera", "lidar", "simulated_lidar")))
