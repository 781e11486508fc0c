# SPDX-License-Identifier: Apache-2.0
"""Losses against numbers worked by hand, and what must not change them."""

from __future__ import annotations

import math

import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import collate, to_batch
from mapkd_core.data.samples import Sample
from mapkd_core.models.build import build
from mapkd_core.training import losses

SURE = 12.0  # a logit: p = 0.999994


def test_cross_entropy_weighs_lines_double():
    labels = torch.tensor([[[0, 1]]])
    logits = torch.zeros(1, 3, 1, 2)
    logits[0, 0, 0, 1] = math.log(2)  # background 1/2, each class 1/4 on the line's cell
    entropy, _ = losses.semantic_losses(logits, labels)
    assert entropy.item() == pytest.approx((1 * math.log(3) + 2 * math.log(4)) / 3)


def test_sigmoids_by_hand():
    """Two cells, three channels: five halves told wrong or right by half, and the true ones 2.13 times as heavy."""
    labels = torch.tensor([[[0, 1]]])
    logits = torch.zeros(1, 3, 1, 2)
    logits[0, 2] = -SURE  # nobody says class 2
    entropy, _ = losses.semantic_losses(logits, labels, "sigmoid")
    assert entropy.item() == pytest.approx((2 * 2.13 + 2) * math.log(2) / 6, rel=1e-4)


def test_dice_by_hand():
    labels = torch.tensor([[[0, 1, 1, 2]]])
    logits = torch.full((1, 3, 1, 4), -SURE)
    logits[0, [0, 1, 0, 2], 0, [0, 1, 2, 3]] = SURE  # misses one of the two cells of class 1
    _, dice = losses.semantic_losses(logits, labels)
    assert dice.item() == pytest.approx((1 - (2 * 1 + 1) / (1 + 2 + 1)) / 2, abs=1e-4)  # class 2 is perfect


def test_perfect_raster_costs_nothing():
    labels = torch.randint(0, 4, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    logits = SURE * 2 * torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    entropy, dice = losses.semantic_losses(logits, labels)
    assert entropy < 1e-4 and dice < 1e-4


def test_discriminative_loss_by_hand():
    """Two instances in one dimension: cells 0 and 2 around 1, one cell at 2.5; margins 0.5 and 3."""
    instances = torch.tensor([[[1, 1, 2, 0]]])
    embedding = torch.tensor([[[[0.0, 2.0, 2.5, 99.0]]]])
    pull = ((1 - 0.5) ** 2 + 0) / 2  # mean over the cells of an instance, then over instances
    push = (3 - 1.5) ** 2  # the one pair of means
    assert losses.discriminative_loss(embedding, instances).item() == pytest.approx(pull + push, rel=1e-4)


def test_discriminative_loss_is_zero_when_tight_and_apart():
    instances = torch.tensor([[[1, 1, 7, 7]]])
    embedding = torch.tensor([[[[0.0, 0.4, 5.0, 5.4]]]])
    assert losses.discriminative_loss(embedding, instances).item() == 0


def test_frames_without_lines_do_not_dilute_the_others():
    one = torch.tensor([[[1, 1, 2, 0]]])
    embedding = torch.tensor([[[[0.0, 2.0, 2.5, 99.0]]]])
    both = losses.discriminative_loss(embedding.repeat(2, 1, 1, 1), torch.cat([one, torch.zeros_like(one)]))
    torch.testing.assert_close(both, losses.discriminative_loss(embedding, one))


def test_direction_loss_by_hand():
    target = torch.tensor([[[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]]])  # along x, 45 degrees, no line
    right = losses.direction_loss(target * 3 + (target.abs().sum(1, keepdim=True) == 0), target)
    across = losses.direction_loss(torch.tensor([[[[-2.0, 5.0, 1.0]], [[0.0, 0.0, 1.0]]]]), target)
    assert right.item() == pytest.approx(0, abs=1e-6)
    assert across.item() == pytest.approx((2 + 1) / 2)  # opposite: 2, at right angles: 1


def test_focal_by_hand():
    logits, truth = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])
    wanted = 0.25 * 0.25 * math.log(2) + 0.75 * 0.25 * math.log(2)
    assert losses.focal(logits, truth).item() == pytest.approx(wanted)


def test_line_has_two_orders_and_a_ring_all():
    points = torch.tensor([[[[0.0, 0], [1, 0], [1, 1]]] * 2])  # B 1, M 2, P 3
    variants, real = losses.point_variants(points, torch.tensor([[False, True]]))
    assert real.sum(-1).tolist() == [[2, 6]]
    orders = {tuple(v.flatten().tolist()) for v, ok in zip(variants[0, 0], real[0, 0]) if ok}
    assert orders == {(0, 0, 1, 0, 1, 1), (1, 1, 1, 0, 0, 0)}
    assert len({tuple(v.flatten().tolist()) for v in variants[0, 1]}) == 6


@pytest.fixture
def config(tiny):
    return TrainConfig(model=tiny)


def _layers(batch, queries: int, groups: int, order=None, change=lambda points: points):
    """One layer whose first queries of every group give the truth, the others nothing."""
    found = batch.element_classes[0] >= 0
    count, p = int(found.sum()), batch.element_points.shape[2]
    order = list(range(queries)) if order is None else order
    scores = torch.full((1, groups * queries, 3), -SURE)
    points = torch.full((1, groups * queries, p, 2), 0.5)
    for group in range(groups):
        for m in range(count):
            q = group * queries + order[m]
            scores[0, q, batch.element_classes[0, m]] = SURE
            points[0, q] = change(batch.element_points[0, m])
    return [(scores.requires_grad_(True), points.requires_grad_(True))]


def test_perfect_queries_cost_nothing_in_any_order(make_sample, config):
    batch = to_batch(make_sample(), config)
    for order in ([0, 1, 2, 3, 4, 5, 6, 7], [6, 2, 5, 0, 1, 3, 4, 7]):
        found = losses.query_losses(_layers(batch, 8, 2, order), batch, 2)
        assert all(value.item() == pytest.approx(0, abs=1e-4) for value in found.values()), found


def test_lines_may_be_told_backwards(make_sample, config):
    batch = to_batch(make_sample(), config)
    found = losses.query_losses(_layers(batch, 8, 2, change=lambda p: p.flip(0)), batch, 2)
    assert found["point"].item() == pytest.approx(0, abs=1e-6) and found["edge"].item() == pytest.approx(0, abs=1e-4)


def test_rings_may_start_anywhere_and_lines_may_not(make_sample, config):
    sample = make_sample()
    ring, line = (Sample(sample.prepared, (sample.elements[i],)) for i in (1, 0))
    for only, is_free in ((ring, True), (line, False)):
        batch = to_batch(only, config)
        found = losses.query_losses(_layers(batch, 8, 1, change=lambda p: p.roll(3, 0)), batch, 1)
        assert (found["point"].item() < 1e-6) == is_free


def test_point_loss_is_the_mean_distance_in_shares_of_the_range(make_sample, config):
    batch = to_batch(make_sample(), config)
    shift = torch.tensor([0.02, 0.01])
    found = losses.query_losses(_layers(batch, 8, 2, change=lambda p: p + shift), batch, 2)
    assert found["point"].item() == pytest.approx(0.03, rel=1e-4)
    assert found["edge"].item() == pytest.approx(0, abs=1e-4)


def test_each_element_gets_its_own_query(make_sample, config):
    """Two equal guesses for one element: one is matched, the other counts as a false alarm."""
    batch = to_batch(make_sample(), config)
    ((scores, points),) = _layers(batch, 8, 1)
    rows, queries, elements, _ = losses.match(
        scores.detach(), points.detach(), batch.element_classes,
        *losses.point_variants(batch.element_points, batch.element_closed), 1,
    )  # fmt: skip
    assert sorted(queries.tolist()) == [0, 1, 2] and elements.tolist() == [0, 1, 2] and not rows.any()
    with torch.no_grad():
        scores[0, 5], points[0, 5] = scores[0, 0], points[0, 0]
    assert losses.query_losses([(scores, points)], batch, 1)["class"] > 1.0


def test_more_elements_than_queries_is_no_error(make_sample, config):
    batch = to_batch(make_sample(), config)
    scores, points = torch.zeros(1, 2, 3), torch.rand(1, 2, config.model.points, 2)
    assert all(torch.isfinite(v) for v in losses.query_losses([(scores, points)], batch, 1).values())


def test_no_truth_gives_finite_losses_and_gradients(make_sample, config):
    batch = to_batch(Sample(make_sample().prepared, ()), config)
    model = build(config.model).train()
    found = losses.map_losses(model(batch.images, batch.plan), batch, config.model.query_groups)
    torch.stack(list(found.values())).sum().backward()
    assert all(torch.isfinite(v) for v in found.values())
    assert found["point"] == 0 and found["edge"] == 0 and found["embedding"] == 0 and found["direction"] == 0
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)


def test_losses_carry_the_names_of_the_weights(make_sample, config):
    batch = to_batch(make_sample(), config)
    model = build(config.model).train()
    found = losses.map_losses(model(batch.images, batch.plan), batch, config.model.query_groups)
    assert found.keys() == TrainConfig().weights.keys() - {"camera"}, "which is the camera hint's"
    assert all(value.ndim == 0 and torch.isfinite(value) for value in found.values())


def test_frames_are_matched_to_their_own_truth(make_sample, config):
    """Group rows belong to their frame: in a batch of two, the second frame's truth is not the first's."""
    first, second = to_batch(make_sample(0.0), config), to_batch(make_sample(0.6), config)
    batch = collate([first, second])
    layers = [_layers(b, 8, 2)[0] for b in (first, second)]
    joined = [tuple(torch.cat(parts) for parts in zip(*layers))]
    assert losses.query_losses(joined, batch, 2)["point"].item() == pytest.approx(0, abs=1e-6)
    swapped = [tuple(torch.cat(parts[::-1]) for parts in zip(*layers))]
    assert losses.query_losses(swapped, batch, 2)["point"].item() > 0.01
