# SPDX-License-Identifier: Apache-2.0
"""Every scheme between networks of the parts of config/train/paper, made small: their features have other widths."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mapkd_core import distillation
from mapkd_core.distillation.inherit import INHERITED, hand_over
from mapkd_core.models.build import build

SETTINGS = {"inherit": {"inherit": "nothing"}}


@pytest.fixture(scope="module")
def shapes(tiny):
    """As pmapnet.yaml, mapkd_coach.yaml, mapkd_student.yaml and hdmapnet.yaml, each of another width."""
    paper = replace(tiny, view="perspective", decoder="resnet", camera_width=8)
    return {
        "teacher": replace(
            paper, bev_width=6, neck_width=16, modalities=("camera", "lidar", "sd"), lidar_width=6, prior_width=16
        ),
        "coach": replace(
            paper, bev_width=5, neck_width=12, modalities=("camera", "simulated_lidar", "sd"), lidar_width=6,
            prior_width=16,
        ),
        "mapkd_student": replace(paper, bev_width=4, neck_width=8),
        "hdmapnet": replace(paper, bev_width=4),
    }  # fmt: skip


@pytest.fixture(scope="module")
def batch(shapes, frames):
    """One frame, six cameras, whose plan is that of the dual view: it begins with the single one's."""

    def of(view: str):
        known = replace(shapes["teacher"], view=view, modalities=("camera", "lidar", "simulated_lidar", "sd"))
        return frames(known, cameras=6)

    return of


@pytest.fixture(scope="module")
def said(batch):
    known = {}

    def answer(config):
        if config not in known:
            torch.manual_seed(0)
            given, student = batch(config.view), build(config).train()
            known[config] = (student, student(given.images, given.plan), given)
        return known[config]

    return answer


@pytest.mark.parametrize("student", ["mapkd_student", "hdmapnet"])
@pytest.mark.parametrize("name", distillation.available())
def test_losses_reach_the_paper_students(shapes, said, network, name, student):
    config = distillation.student_of(name, shapes[student])
    teacher, coach = network(shapes["teacher"]), network(shapes["coach"])
    scheme = distillation.make(name, SETTINGS.get(name, {}), config, teacher, coach).train()
    learner, output, batch = said(config)
    losses = scheme(batch, output)
    assert all(torch.isfinite(value) for value in losses.values())
    first = learner.camera.backbone._conv_stem.weight
    (gradient,) = torch.autograd.grad(sum(losses.values()), [first], retain_graph=True)
    assert gradient.abs().sum() > 0


def test_features_have_the_channels_that_their_configs_say(shapes, said):
    for name in ("mapkd_student", "hdmapnet"):
        config = distillation.student_of("mapdistill", shapes[name])
        output = said(config)[1]
        assert config.view == "perspective_dual"
        assert output.camera_bev.shape[1] == config.camera_channels + config.camera_width
        assert (output.bev.shape[1], output.bottleneck.shape[1]) == (config.bev_channels, config.bottleneck_width)
        assert output.fused.shape[1] == config.bev_width


def test_the_dual_view_begins_with_the_single_one(shapes, batch):
    """The teacher reads its own plan out of the student's."""
    config = distillation.student_of("mapdistill", shapes["hdmapnet"])
    dual, single = build(config).eval(), build(shapes["hdmapnet"]).eval()
    for network in (dual, single):
        torch.manual_seed(5)
        for parameter in network.camera.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    single.view.load_state_dict(dual.view.first.state_dict())
    two, one = batch("perspective_dual"), batch("perspective")
    with torch.no_grad():
        features = single.camera(one.images)
        expected = single.view(*features, one.plan)
        found = dual.view(*dual.camera(two.images), two.plan)
    torch.testing.assert_close(found[:, : expected.shape[1]], expected)


def test_a_neck_is_handed_over_but_for_the_lidar(shapes):
    """The first convolution of these decoders is the neck's; the student keeps a view of its own."""
    teacher = build(replace(shapes["teacher"], bev_width=4, neck_width=8))
    student = build(shapes["mapkd_student"])
    names = hand_over(teacher, student, INHERITED["decoder"])
    assert {"decoder.neck.0.weight", "decoder.stem.conv.weight"} <= set(names) and not any("view" in n for n in names)
    own, given = student.decoder.neck[0].weight, teacher.decoder.neck[0].weight
    assert own.shape[1] < given.shape[1] and torch.equal(own, given[:, : own.shape[1]])
