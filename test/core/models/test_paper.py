# SPDX-License-Identifier: Apache-2.0
"""The papers' networks: every file loads, has the published size and takes a forward at every range; sizes alone, no
numbers, on the meta device. A small one of the same parts learns on real pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mapkd_core.bench.cost import hdmapnet_cost, parameters
from mapkd_core.config import TrainConfig, load
from mapkd_core.data.batch import collate, to_batch
from mapkd_core.distillation import mapdistill
from mapkd_core.grid import RANGES
from mapkd_core.models.build import build
from mapkd_core.models.trunk import TrunkEncoder
from mapkd_core.training.losses import map_losses
from mapkd_core.types import LAYERS

FOLDER = Path(__file__).resolve().parents[3] / "config" / "train" / "paper"
FILES = ["hdmapnet", "mapkd_coach", "mapkd_student", "pmapnet"]
MAPDISTILL = ["mapdistill", "mapdistill_teacher"]
LAYERED = ["bridgeta_bevfusion", "bridgeta_bevfusion_teacher"]
PAPER = {"view": "perspective", "decoder": "resnet"}


class _NoPoints(torch.nn.Module):
    """How many points lie in the range depends on their values, which are not there on the meta device."""

    def __init__(self, width: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.size = (1, width, *shape)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return points.new_zeros(self.size)


def _meta(config):
    with torch.device("meta"):
        model = build(config).to("meta")
        if "lidar" in config.modalities:
            model.lidar = _NoPoints(config.lidar_width, config.decoder_grid.shape)
    return model.train()


def _inputs(config):
    (y, x), pixels = config.decoder_grid.shape, (config.image_height, config.image_width)
    given = {"images": (1, 6, 3, *pixels), "plan": (1, 6, 4, 4), "sd": (1, 1, y, x)}
    if "simulated_lidar" in config.modalities:
        given["frustum"] = (1, 6, 34, pixels[0] // 8, pixels[1] // 8)
    return {name: torch.zeros(size, device="meta") for name, size in given.items()}


def test_all_are_there():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(FILES + MAPDISTILL + LAYERED)


def test_mapdistills_networks_give_maptrs_polylines():
    """100 of 20 points from 40 x 80 cells, by the released configuration; one is the other's teacher."""
    student, teacher = (load(TrainConfig, FOLDER / f"{name}.yaml").model for name in MAPDISTILL)
    assert student.decoder_grid.shape == (40, 80) and (student.queries, student.points) == (100, 20)
    assert replace(student, view="ground", modalities=teacher.modalities, lidar_width=teacher.lidar_width) == teacher
    torch.manual_seed(0)
    assert mapdistill.Distil(mapdistill.Config(), student, build(teacher)).teaches_queries


@pytest.mark.parametrize("name", LAYERED)
def test_networks_of_layers_draw_bevfusions_six(name):
    config = load(TrainConfig, FOLDER / f"{name}.yaml").model
    assert config.overlapping and config.grid.shape == (200, 200) and config.classes == LAYERS
    plan = torch.zeros((1, 6, 34, config.image_height // 8, config.image_width // 8), device="meta")
    output = _meta(config)(_inputs(config)["images"], plan)
    assert output.semantic.shape == (1, 6, 200, 200) and output.bev.shape == (1, config.bev_channels, 100, 100)


@pytest.mark.parametrize("distance", ["60x30", "120x60", "240x60"])
@pytest.mark.parametrize("name", FILES)
def test_a_forward_at_every_range(name, distance):
    config = load(TrainConfig, FOLDER / f"{name}.yaml").model
    assert config.grid == RANGES["60x30"]
    config = replace(config, grid=RANGES[distance])
    output = _meta(config)(**_inputs(config))
    (rows, columns), (y, x) = config.grid.shape, config.decoder_grid.shape
    assert output.semantic.shape == (1, 4, rows, columns) and output.embedding.shape == (1, 16, rows, columns)
    assert output.direction.shape == (1, 2, rows, columns) and output.camera_bev.shape == (1, 64, y, x)
    assert output.bev.shape == (1, config.bev_channels, y, x) == (1, 320, y, x)
    assert output.bottleneck.shape == (1, config.bottleneck_width, y // 4, x // 4)
    assert output.fused.shape == (1, 64, y, x)
    assert (output.lidar_bev is None) == (name in ("hdmapnet", "mapkd_student"))


def test_the_ranges_in_the_files_are_the_papers():
    override = "model.grid={x_min: -60, x_max: 60, y_min: -30, y_max: 30, cell: 0.3}"
    for name in FILES:
        assert override.removeprefix("model.") in (FOLDER / f"{name}.yaml").read_text().replace("model.", "")
        assert load(TrainConfig, FOLDER / f"{name}.yaml", [override]).model.grid == RANGES["120x60"]


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "falls", "rate"),
    [
        ("hdmapnet", 30, 4, 10, 1e-3),
        ("pmapnet", 10, 8, 3, 5e-4),
        ("mapkd_coach", 10, 8, 10, 5e-4),
        ("mapkd_student", 10, 8, 10, 5e-4),
    ],
)
def test_schedules_and_losses_are_the_papers(name, epochs, batch, falls, rate):
    """Adam, StepLR by tenths without warm-up, and cross entropies of sigmoids."""
    config, epoch = load(TrainConfig, FOLDER / f"{name}.yaml"), 28130 // batch
    assert (config.steps, config.decay_every, config.batch) == (epochs * epoch, falls * epoch, batch)
    assert (config.optimizer, config.learning_rate, config.warmup, config.clip) == ("adam", rate, 0, 5.0)
    assert config.semantic_loss == "sigmoid" and config.weights["dice"] == 0


def test_the_second_encoder_of_a_coach_is_of_the_first_ones_kind(tiny):
    """Of the dual view, too: camera=FILE starts both."""
    for view in ("perspective", "perspective_dual"):
        asked = replace(tiny, **PAPER, neck_width=12, modalities=("camera", "simulated_lidar"), lidar_width=8)
        coach = build(replace(asked, view=view))
        assert {type(encoder) for encoder in coach.camera_encoders} == {TrunkEncoder}, view


@pytest.mark.parametrize(
    ("name", "published", "classifier"), [("hdmapnet", 78.28, 1.69), ("mapkd_student", 82.17, 1.69 + 1.5)]
)
def test_sizes_are_the_published_ones(name, published, classifier):
    """In millions, but for what takes no part: EfficientNet's classifier, and dead modules of MapKD's student. Query
    head and the three channels of place are ours."""
    config = load(TrainConfig, FOLDER / f"{name}.yaml").model
    model = _meta(config)
    assert (parameters(model) - parameters(model.query)) / 1e6 == pytest.approx(published - classifier, rel=0.01)


def test_the_student_has_the_yardsticks_size():
    config = load(TrainConfig, FOLDER / "hdmapnet.yaml").model
    model = _meta(config)
    own = (parameters(model) - parameters(model.query)) / 1e6
    more = (3 * 64 * 49 - 35 * 129) / 1e6  # three channels of place; 2 for 37 of direction
    assert own == pytest.approx(hdmapnet_cost(config)["parameters_m"] + more, abs=2e-3)


@pytest.fixture
def small(tiny):
    return replace(tiny, **PAPER, bev_width=8, neck_width=12)


@pytest.fixture
def batch(make_sample, small):
    known = replace(small, modalities=("camera", "simulated_lidar", "sd"))
    return collate([to_batch(make_sample(shift), TrainConfig(model=known)) for shift in (0.0, 0.4)])


@pytest.mark.parametrize("modalities", [("camera",), ("camera", "simulated_lidar", "sd")])
def test_gradients_of_the_map_losses_reach_trunk_views_neck_and_heads(small, batch, modalities):
    model = build(replace(small, modalities=modalities, lidar_width=8, prior_width=16)).train()
    losses = map_losses(model(*batch.inputs()), batch, small.query_groups)
    torch.stack(list(losses.values())).sum().backward()
    reached = [model.camera.backbone._conv_stem, *(view[0] for view in model.view.views), model.decoder.neck[0],
               model.decoder.stem.conv, *(up[1] for up in model.raster.up2)]  # fmt: skip
    if len(modalities) > 1:
        reached += [model.lidar.encoder.backbone._conv_stem, model.lidar.splat.lift, model.decoder.attention.answer]
    assert all(layer.weight.grad.abs().sum() > 0 for layer in reached)


def test_order_of_the_cameras_matters_to_it(small, batch):
    """What the shipped student does not do: a slot has weights of its own."""
    model, turned = build(small).eval(), [4, 2, 0, 5, 1, 3]
    with torch.inference_mode():
        one = model(batch.images, batch.plan).camera_bev
        other = model(batch.images[:, turned], batch.plan[:, turned]).camera_bev
    assert not np.allclose(one.numpy(), other.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": "unet"}, "unknown decoder 'unet'; known: light, resnet"),
        ({"decoder": "light", "neck_width": 64}, "neck_width = 64: the light decoder has no neck"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        build(replace(tiny, **change))
