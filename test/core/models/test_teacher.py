# SPDX-License-Identifier: Apache-2.0
"""Teachers: every modality reaches the map, an absent one does no harm, and a student knows nothing of any of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import TrainingSet, collate, to_batch
from mapkd_core.data.samples import write
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build
from mapkd_core.models.lidar import NO_POINT_M, PillarEncoder
from mapkd_core.models.prior import PriorAttention, sine_places
from mapkd_core.training.loop import train
from mapkd_core.types import MapElement

EVERYTHING = ("camera", "lidar", "sd", "hd")


@pytest.fixture
def teacher(tiny):
    return replace(tiny, modalities=EVERYTHING, lidar_width=8, prior_width=16)


@pytest.fixture
def rich(make_sample):
    """rich(number of points): a sample with points on its divider, an SD road and the truth as HD prior."""

    def make(points: int = 300):
        rng = np.random.default_rng(points)
        cloud = np.column_stack([rng.uniform(-6, 6, points), np.full(points, 1.0), *rng.random((3, points))])
        road = MapElement("road", np.array([(-6.0, 0.0), (6.0, 0.5)]))
        sample = make_sample()
        return replace(sample, points=cloud.astype(np.float32), sd=(road,), hd=sample.elements)

    return make


def _answer(model, batch, **changed):
    given = {"points": batch.points, "sd": batch.sd, "hd": batch.hd} | changed
    with torch.inference_mode():
        return model.eval()(batch.images, batch.plan, **given).semantic


def test_every_modality_reaches_the_map(teacher, rich):
    model = build(teacher)
    for parameter in model.decoder.attention.answer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # it starts as the identity
    batch = to_batch(rich(), TrainConfig(model=teacher))
    whole = _answer(model, batch)
    for name in ("points", "sd", "hd"):
        assert not torch.allclose(whole, _answer(model, batch, **{name: None}), atol=1e-5), name
        assert torch.isfinite(_answer(model, batch, **{name: None})).all()
    assert torch.isfinite(_answer(model, batch, points=None, sd=None, hd=None)).all()


def test_a_lost_prior_is_what_the_teacher_learned_to_go_without(teacher, rich):
    """`lost_modalities` shows it maps without a line, so that is what a vehicle without a map gives it."""
    model = build(teacher)
    for parameter in model.decoder.attention.answer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    batch = to_batch(rich(), TrainConfig(model=teacher))
    for lost in (("sd",), ("hd",), ("sd", "hd")):
        blank = {name: torch.zeros_like(getattr(batch, name)) for name in lost}
        torch.testing.assert_close(_answer(model, batch, **dict.fromkeys(lost)), _answer(model, batch, **blank))


def test_an_hd_prior_laid_into_the_bev_is_there_from_the_start_and_in_its_place(teacher, rich):
    """Attention, which starts as the identity, tells nothing of it yet; what is absent is a map without a line."""
    model = build(replace(teacher, hd_width=6))
    batch = to_batch(rich(), TrainConfig(model=teacher))
    whole, without = _answer(model, batch), _answer(model, batch, hd=None)
    assert not torch.allclose(whole, without, atol=1e-5)
    torch.testing.assert_close(without, _answer(model, batch, hd=torch.zeros_like(batch.hd)))
    cell = torch.zeros_like(batch.hd)
    cell[..., 2, 3] = 1
    moved = (model.laid(cell) - model.laid(torch.zeros_like(cell))).abs().sum((0, 1)).nonzero()
    assert len(moved) and moved.min(0).values.tolist() >= [0, 1] and moved.max(0).values.tolist() <= [4, 5]
    plain = build(teacher)
    assert plain.laid is None and not any(name.startswith("laid") for name in plain.state_dict())
    with pytest.raises(ValueError, match=r"hd_width = 6, but modalities = .* have no hd; use 0"):
        build(replace(teacher, hd_width=6, modalities=("camera", "lidar", "sd")))


def test_attention_to_priors_starts_as_the_identity():
    attention, bev = PriorAttention(12, 16), torch.randn(2, 12, 3, 5)
    torch.testing.assert_close(attention(bev, [torch.randn(2, 16, 3, 5)]), bev)
    torch.testing.assert_close(attention(bev, []), bev)


def test_places_are_all_different():
    places = sine_places(16, 6, 10).flatten(1).T
    distance = torch.cdist(places, places) + 10 * torch.eye(60)
    assert places.shape == (60, 16) and distance.min() > 0.1


def test_a_point_fills_its_own_cell_and_a_far_one_none():
    encoder = PillarEncoder(BevGrid(-6.0, 6.0, -3.0, 3.0, 0.5), 4).eval()
    encoder.bev = torch.nn.Identity()
    points = torch.tensor([[[1.3, -0.7, 0.1, 30.0, 0.0], [1.4, -0.8, 0.1, 30.0, 0.0], [NO_POINT_M, 0, 0, 0, 0]]])
    with torch.no_grad():
        filled = encoder(points).abs().sum((0, 1)).nonzero().tolist()
    assert filled == [[int((-0.7 + 3) / 0.5), int((1.3 + 6) / 0.5)]]


def test_the_strongest_of_a_cells_points_speaks():
    encoder = PillarEncoder(BevGrid(-6.0, 6.0, -3.0, 3.0, 0.5), 4).eval()
    encoder.bev = torch.nn.Identity()
    one, other = torch.tensor([1.3, -0.7, 0.1, 30.0, 0.0]), torch.tensor([1.4, -0.8, 2.0, 200.0, -0.05])
    nowhere = torch.tensor([NO_POINT_M, 0, 0, 0, 0])
    with torch.no_grad():
        alone = [encoder(torch.stack([p, p, nowhere])[None]) for p in (one, other)]
        both = encoder(torch.stack([one, other, nowhere])[None])
    torch.testing.assert_close(both, torch.maximum(*alone))


def test_clouds_of_unequal_size_go_into_one_batch(teacher, rich):
    config = TrainConfig(model=teacher)
    batch = collate([to_batch(rich(300), config), to_batch(rich(20), config)])
    assert batch.points.shape == (2, 300, 5)
    model = build(teacher)
    together = _answer(model, batch)
    torch.testing.assert_close(together[1:], _answer(model, to_batch(rich(20), config)), atol=1e-4, rtol=1e-3)


def test_a_student_is_given_nothing_and_has_no_parts_for_it(tiny, rich):
    batch = to_batch(rich(), TrainConfig(model=tiny))
    assert batch.points is batch.sd is batch.hd is None
    assert not [
        n for n in build(tiny).state_dict() if n.startswith(("lidar", "priors")) or "attention" in n.split(".")[1]
    ]


def test_a_teacher_needs_points_and_known_modalities(teacher, make_sample):
    with pytest.raises(ValueError, match="a network has a LiDAR branch, but these samples have no points"):
        to_batch(make_sample(), TrainConfig(model=teacher))
    with pytest.raises(ValueError, match="know camera, lidar, simulated_lidar, sd, hd"):
        build(replace(teacher, modalities=("camera", "radar")))


@pytest.mark.parametrize(("lacking", "told"), [("points", "lidar"), ("sd", "sd"), ("hd", "hd")])
def test_samples_without_what_a_network_gets_are_refused_before_the_first_step(teacher, rich, tmp_path, lacking, told):
    """One frame that has it is enough: elsewhere there may be no road."""
    bare = replace(rich(), **{lacking: None if lacking == "points" else ()})
    write(tmp_path / "data", "a", [bare])
    config = TrainConfig(teacher, str(tmp_path / "data"), str(tmp_path / "none"), steps=1, workers=0)
    with pytest.raises(ValueError, match=f"gets camera, hd, lidar, sd, but the samples in .* have no {told};"):
        train(config, tmp_path / "run")
    write(tmp_path / "data", "b", [rich()])
    TrainingSet(tmp_path / "data", config, EVERYTHING)


def test_a_teacher_trains(teacher, rich, tmp_path):
    write(tmp_path / "data", "a", [rich(), rich(40)])
    config = TrainConfig(
        teacher, str(tmp_path / "data"), str(tmp_path / "data"), batch=2, steps=2, precision="fp32", workers=0
    )
    assert train(config, tmp_path / "run").is_file()
