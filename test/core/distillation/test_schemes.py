# SPDX-License-Identifier: Apache-2.0
"""The contract of every scheme in the folder, whoever adds one: it teaches the student and leaves teachers alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core import distillation
from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import collate, to_batch
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build

SCHEMES = distillation.available()


@pytest.fixture(scope="module")
def teacher_config(tiny):
    return replace(tiny, bev_width=12, modalities=("camera", "lidar", "sd", "hd"), lidar_width=8, prior_width=16)


@pytest.fixture
def batch(make_sample, teacher_config, name):
    """Two frames with all that teachers get, and the plan of the student that the scheme asks for."""
    config = TrainConfig(model=distillation.student_of(name, teacher_config))
    frames = []
    for shift in (0.0, 0.4):
        sample = make_sample(shift)
        points = np.random.default_rng(1).uniform(-3, 3, (50, 5)).astype(np.float32)
        frames.append(to_batch(replace(sample, points=points, hd=sample.elements), config))
    return collate(frames)


@pytest.fixture
def parts(tiny, teacher_config):
    """parts(scheme name, **settings) -> student, scheme with teacher and coach."""

    def make(name: str, **settings):
        coach = replace(teacher_config, bev_width=16, modalities=("camera", "sd", "hd"))
        config = distillation.student_of(name, tiny)
        scheme = distillation.make(name, settings, config, build(teacher_config), build(coach))
        return build(config).train(), scheme.train()

    return make


def _losses(student, scheme, batch):
    return scheme(batch, student(batch.images, batch.plan))


@pytest.mark.parametrize("name", SCHEMES)
def test_losses_are_named_finite_and_reach_the_student(parts, batch, name):
    student, scheme = parts(name)
    losses = _losses(student, scheme, batch)
    assert losses and all(torch.isfinite(v) and v.ndim == 0 and v.requires_grad for v in losses.values())
    sum(losses.values()).backward()
    assert sum(float(p.grad.abs().sum()) for p in student.camera.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize("name", SCHEMES)
def test_a_step_moves_student_and_adapters_and_no_teacher(parts, batch, name):
    student, scheme = parts(name)
    frozen = copy.deepcopy(scheme.frozen.state_dict())
    learned = {n: p for n, p in scheme.named_parameters() if p.requires_grad}
    before = {n: p.detach().clone() for n, p in learned.items()}
    optimizer = torch.optim.SGD([*student.parameters(), *learned.values()], 0.1)
    sum(_losses(student, scheme, batch).values()).backward()
    optimizer.step()
    assert not any(module.training for module in scheme.frozen.modules())
    for key, value in scheme.frozen.state_dict().items():
        assert torch.equal(value, frozen[key]), key
    still = [n for n, p in learned.items() if torch.equal(p, before[n])]
    assert len(still) <= len(learned) / 2, f"never moved: {still}"


@pytest.mark.parametrize("name", SCHEMES)
def test_the_student_stays_a_student(parts, tiny, name):
    student, scheme = parts(name)
    assert student.state_dict().keys() == build(distillation.student_of(name, tiny)).state_dict().keys()
    assert all("frozen" in n for n, p in scheme.named_parameters() if not p.requires_grad and "targets" not in n)


@pytest.mark.parametrize("name", SCHEMES)
def test_unknown_settings_are_refused(parts, name):
    with pytest.raises(ValueError, match=f"unknown setting {name}.'wieght'"):
        parts(name, wieght=1.0)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_teacher_of_another_grid_is_refused_naming_both(tiny, name):
    other = replace(tiny, grid=BevGrid(-12.0, 12.0, -6.0, 6.0, 0.3))
    with pytest.raises(ValueError, match=r"teacher and student differ in grid: .*12\.0.* and .*6\.0"):
        distillation.make(name, {}, distillation.student_of(name, tiny), build(other))


# Adapters that are random at the start say nothing about two networks.
@pytest.mark.parametrize("name", sorted(set(SCHEMES) - {"feature", "foreground", "bridgeta", "mapdistill"}))
def test_a_student_that_equals_its_teacher_has_less_to_learn(batch, tiny, name):
    """Against itself a student's loss is lower than against a stranger, as far as nothing between them is random."""
    torch.manual_seed(3)
    student, stranger = build(tiny).eval(), build(tiny).eval()
    for network in (stranger, student):
        torch.nn.init.normal_(network.raster.out.weight, std=0.3)
    settings = {"tgpd_teacher": 0.0} if name == "mapkd" else {}
    own, other = (distillation.make(name, settings, tiny, copy.deepcopy(t)) for t in (student, stranger))
    with torch.no_grad():
        losses = [float(sum(_losses(student, s.eval(), batch).values())) for s in (own, other)]
    assert losses[0] < losses[1]


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown scheme 'mapkdd'; known: attention, bridgeta, .*mapkd"):
        distillation.load("mapkdd")
