# SPDX-License-Identifier: Apache-2.0
"""Networks of BEVFusion's layers: a sigmoid each, unknown cells masked, BridgeTA, scores at the best threshold."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapkd_core import distillation
from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import to_batch
from mapkd_core.data.layers import LayerTruth
from mapkd_core.data.prepare import Prepared
from mapkd_core.data.samples import SampleFolder, write
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import read_card, save_weights
from mapkd_core.training.loop import train
from mapkd_core.training.losses import layer_loss
from mapkd_core.training.validate import validate
from mapkd_core.types import LAYERS, MapElement

KNOWN = ("drivable_area", "ped_crossing", "divider")


@pytest.fixture(scope="module")
def config(tiny):
    return replace(tiny, classes=LAYERS, camera_width=8, detail_width=4)


@pytest.fixture(scope="module")
def folder(make_sample, tmp_path_factory):
    """One frame of two cameras: a road over the right half of the range."""
    folder = tmp_path_factory.mktemp("layers")
    ring = np.array([(-9.0, -9.0), (9.0, -9.0), (9.0, 0.0), (-9.0, 0.0)])
    p = make_sample().prepared
    few = Prepared(p.images[:2], p.K[:2], p.ego_T_camera[:2], p.valid[:2])
    layers = LayerTruth((MapElement("drivable_area", ring, is_closed=True),), KNOWN)
    write(folder, "world", [replace(make_sample(), prepared=few, layers=layers)])
    return folder


def test_the_loss_by_hand():
    """p = 1/2: (1/2)^2 log 2 of a layer's mean; sure and right 0; what is unknown does not count."""
    logits, truth = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2, dtype=torch.int8)
    assert layer_loss(logits, truth).item() == pytest.approx(3 * 0.25 * math.log(2), rel=1e-5)
    truth[:, 2], truth[:, 1, 0] = -1, -1
    logits[:, 1, 0], logits[:, 2] = 50.0, -50.0
    assert layer_loss(logits, truth).item() == pytest.approx(2 * 0.25 * math.log(2), rel=1e-5)
    logits[:, 1, 1] = 50.0
    assert layer_loss(logits, truth).item() == pytest.approx(0.25 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("decoder", ["light", "resnet"])
def test_there_is_no_background_channel(config, decoder):
    model = build(replace(config, decoder=decoder, bev_width=4)).eval()
    bev = torch.zeros(1, model.config.bev_channels, *config.decoder_grid.shape)
    assert model.raster(bev)[0].shape == (1, 6, *config.grid.shape)


def test_a_refinement_of_lines_is_refused(config):
    with pytest.raises(ValueError, match="refinement_layers = 1: it corrects lines, not layers"):
        build(replace(config, refinement_layers=1))


def test_a_student_is_trained_scored_and_kept_from_mappers(config, folder, network, tmp_path):
    wide = replace(config, bev_width=6)
    save_weights(tmp_path / "teacher.safetensors", network(wide).state_dict(), wide, {})
    weights = TrainConfig().weights | {"camera": 0.0}
    run = TrainConfig(
        config, str(folder), str(folder), scheme="bridgeta", teacher=str(tmp_path / "teacher.safetensors"), steps=2,
        batch=1, workers=0, precision="fp32", weights=weights,
    )  # fmt: skip
    trained = train(run, tmp_path / "out")
    scores = read_card(trained)["validation"]
    assert {"miou_at_max", "iou_drivable_area"} <= set(scores) and "iou_walkway" not in scores
    with pytest.raises(ValueError, match=r"student.safetensors draws layers \(drivable_area, .* a mapper wants lines"):
        Mapper(trained)


@pytest.mark.parametrize(("share", "iou"), [(0.5, 100.0), (0.25, 50.0), (1.0, 50.0)])
def test_scores_by_hand(config, folder, share, iou):
    """The road fills half of the rows. Sure answers about layers whose truth is not known count for nothing."""

    class Answer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.anything = torch.nn.Parameter(torch.zeros(1))

        def forward(self, *inputs):
            logits = torch.full((1, 6, *config.grid.shape), -9.0)
            logits[:, 2:5] = 9.0
            logits[:, 0, : round(share * config.grid.shape[0])] = 9.0
            return SimpleNamespace(semantic=logits)

    run = TrainConfig(config, str(folder), str(folder), workers=0, precision="fp32")
    assert validate(Answer(), run) == {"miou_at_max": iou, "iou_drivable_area": iou}


@pytest.mark.parametrize("name", ["mapkd", "response", "foreground", "inherit"])
def test_schemes_that_teach_lines_refuse_layers(config, network, name):
    with pytest.raises(ValueError, match=f"{name} teaches maps of lines, .* drivable_area, .* take bridgeta"):
        distillation.make(name, {}, config, network(config))


@pytest.mark.parametrize("name", ["bridgeta", "feature", "attention", "channelwise"])
def test_schemes_that_know_layers(config, network, folder, name):
    batch = to_batch(SampleFolder(folder)[0], TrainConfig(model=config))
    scheme = distillation.make(name, {}, config, network(replace(config, bev_width=6)))
    losses = scheme(batch, network(config)(batch.images, batch.plan))
    assert all(torch.isfinite(value) and value.requires_grad for value in losses.values())
