# SPDX-License-Identifier: Apache-2.0
"""Losses of the schemes, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mapkd_core.distillation import attention, bridgeta, channelwise, foreground, mapdistill, mapkd
from mapkd_core.distillation.losses import masked_mean, response_kl, row_kl


def test_response_kl_of_two_cells():
    """One cell agrees; in the other T = (3/4, 1/4) and S = (1/2, 1/2)."""
    teacher = torch.tensor([[[[0.0, math.log(3.0)]], [[0.0, 0.0]]]])  # B K Y X = 1 2 1 2
    wanted = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
    assert response_kl(torch.zeros_like(teacher), teacher, 1.0).item() == pytest.approx(wanted)
    assert response_kl(teacher, teacher, 3.0).item() == pytest.approx(0.0, abs=1e-7)


def test_row_kl_and_rows_with_zeros():
    teacher, student = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    assert row_kl(student, teacher).item() == pytest.approx(math.log(2) / 2)


def test_masked_mean_of_no_cell_is_zero():
    values = torch.arange(8.0).view(1, 2, 2, 2)
    mask = torch.tensor([[[True, False], [False, True]]])
    assert masked_mean(values, mask).item() == pytest.approx((0 + 3 + 4 + 7) / 4)
    assert masked_mean(values, torch.zeros_like(mask)).item() == 0.0


def test_msrd_looks_at_true_lines_only():
    """T = (1/2, 1/6, 1/6, 1/6) on the line and S = 1/4 each; released: sigmoid(0) = 1/2 with anything is log 2."""
    student, teacher = torch.zeros(1, 4, 2, 2), torch.randn(1, 4, 2, 2) * 5
    teacher[0, :, 0, 1] = torch.tensor([math.log(3.0), 0.0, 0.0, 0.0])
    labels = torch.tensor([[[0, 2], [0, 0]]])
    wanted = {False: 0.5 * math.log(2) + 0.5 * math.log(2 / 3), True: math.log(2)}
    for released, loss in wanted.items():
        assert mapkd.masked_response(student, teacher, labels, released).item() == pytest.approx(loss)
    student[0, 1, 0, 0] = 1e3
    for released, loss in wanted.items():
        assert mapkd.masked_response(student, teacher, labels, released).item() == pytest.approx(loss)


def test_msrd_asks_nothing_of_what_a_softmax_ignores():
    """The same number added to all logits of a cell changes no map; sigmoids see it."""
    teacher, labels = torch.randn(1, 4, 2, 2), torch.ones(1, 2, 2, dtype=torch.long)
    assert mapkd.masked_response(teacher + 3.0, teacher, labels).item() == pytest.approx(0.0, abs=1e-6)
    released = mapkd.masked_response(teacher + 3.0, teacher, labels, True)
    assert released > mapkd.masked_response(teacher, teacher, labels, True)


def test_a_step_changes_the_students_projection_by_little():
    """Else it would fit the teacher's few tokens by itself: 21,600 inputs give nn.Linear weights of 0.004."""
    tokens = mapkd.Tokens(96, (15, 30), mapkd.Config())
    muon_step = 0.2 * 3e-3  # root of the mean square, at the learning rate of the benchmark
    for projection in (tokens.whole, tokens.patch):
        assert muon_step < 0.002 * projection.weight.square().mean().sqrt()
        out = projection(torch.randn(500, projection.weight.shape[1]))
        assert out.std().item() == pytest.approx(3**-0.5, rel=0.1), "as of nn.Linear"


def test_released_tgpd_is_blind_where_ours_is_not():
    """Raw tokens of large features saturate the softmax: two different maps get the same attention, the identity."""
    torch.manual_seed(0)
    one, other = torch.relu(torch.randn(2, 8, 6, 12)) * 100, torch.relu(torch.randn(2, 8, 6, 12)) * 100
    difference = {}
    for released in (False, True):
        config = mapkd.Config(as_released=released, token=False)  # as in the authors' student script
        tokens = mapkd.Tokens(8, (6, 12), config)
        a, b = (mapkd.token_attention(tokens(x), config) for x in (one, other))
        assert a.shape == (2, 2, 2) and tokens(one).shape[-1] == (8 * 6 * 6 if released else 64)
        difference[released] = (a - b).abs().max().item()
    assert difference[True] < 1e-6 < 1e-3 < difference[False]


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 5.0])
def test_youngs_bound_holds_and_is_met_on_the_way_at_one_to_epsilon(epsilon):
    torch.manual_seed(1)
    teacher, student = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    direct = (teacher - student).square().mean().item()
    for _ in range(20):
        assistant = torch.randn(2, 3, 4, 5) * 2
        assert bridgeta.young_bound(teacher, assistant, student, epsilon, pull=True).item() >= direct
    between = teacher + (student - teacher) / (1 + epsilon)
    assert bridgeta.young_bound(teacher, between, student, epsilon, pull=True).item() == pytest.approx(direct, rel=1e-5)


def test_the_student_pulls_the_assistant_only_when_asked():
    teacher, student = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    for pull in (False, True):
        assistant = teacher.clone().requires_grad_()
        bridgeta.young_bound(teacher, assistant, student, 1.0, pull).backward()
        assert (assistant.grad.abs().max() > 0) == pull


def test_channelwise_and_attention_see_places_and_not_sizes():
    logits = torch.randn(2, 3, 4, 5)
    assert channelwise.channel_loss(logits + 7.0, logits, 4.0).item() == pytest.approx(0.0, abs=1e-6)
    torch.testing.assert_close(attention.attention_map(3 * logits), attention.attention_map(logits))


def test_relation_is_the_same_for_the_same_maps_and_needs_no_sizes_to_fit():
    one, other = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6)
    found = mapdistill.relation(one, other, 2, 0.5)
    assert found.shape == (2, 6, 6)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 6))
    a, b = ((x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True) for x in (one, other))
    first = a[0, :, :2, :2].flatten()
    others = [b[0, :, y : y + 2, x : x + 2].flatten() for y in (0, 2) for x in (0, 2, 4)]
    cosines = torch.stack([torch.cosine_similarity(first, patch, dim=0) for patch in others])
    torch.testing.assert_close(found[0, 0], (cosines / 0.5).softmax(0))


def test_a_relation_tells_something_whatever_the_scale_of_the_features():
    """Not the same for every patch, as it would be of features as small as random projections make them."""
    torch.manual_seed(0)
    one = functional.interpolate(torch.randn(2, 8, 6, 6), size=(40, 40), mode="bilinear")  # smooth, as features are
    other = one + 0.5 * torch.randn_like(one)
    found = mapdistill.relation(one, other, 10, 0.2)
    scaled = mapdistill.relation(one * 0.01 + 5.0, other * 30.0, 10, 0.2)
    torch.testing.assert_close(scaled, found, rtol=1e-3, atol=1e-5)
    entropy = -(found * found.log()).sum(-1).mean()
    assert 0.2 * math.log(16) < entropy < 0.95 * math.log(16)


def test_queries_are_paired_by_what_they_say_and_not_by_number():
    """The teacher says the same two things in the other order, one line from its other end."""
    scores = torch.tensor([[4.0, -4.0, -4.0], [-4.0, -4.0, 4.0]])
    points = torch.tensor([[[0.1, 0.1], [0.2, 0.1], [0.3, 0.1]], [[0.5, 0.9], [0.5, 0.8], [0.5, 0.7]]])
    swapped = (scores.flip(0)[None], torch.stack([points[1].flip(0), points[0]])[None])
    chosen = mapdistill.pairs(scores, points, swapped[0][0], mapdistill.orders_of(swapped[1][0]), False)
    assert chosen.tolist() == [1, 0]
    student = (scores[None], points[None])
    assert mapdistill.head_losses(student, swapped, False).item() == pytest.approx(0.0, abs=1e-6)
    assert mapdistill.head_losses(student, swapped, True).item() > 1.0


def test_a_ring_may_begin_anywhere_and_a_line_may_not():
    angle = torch.arange(8) * (2 * math.pi / 8)
    ring = 0.5 + 0.2 * torch.stack([angle.cos(), angle.sin()], -1)
    line = torch.stack([torch.linspace(0.1, 0.8, 8), torch.full((8,), 0.3)], -1)
    points, scores = torch.stack([ring, line])[None], torch.full((1, 2, 3), 3.0)
    moved = torch.stack([ring.roll(3, 0).flip(0), line.flip(0)])[None]
    assert mapdistill.head_losses((scores, moved), (scores, points), True).item() == pytest.approx(0.0, abs=1e-6)
    long = torch.tensor(
        [[0.1, 0.1], [0.5, 0.1], [0.9, 0.1], [0.9, 0.2], [0.9, 0.3], [0.5, 0.3], [0.1, 0.3], [0.1, 0.2]]
    )
    orders = mapdistill.orders_of(long[None])[0]
    assert any(torch.equal(order, long.roll(3, 0)) for order in orders), "steps of 0.4 and of 0.1"
    odd = torch.stack([ring, line.roll(3, 0)])[None]
    assert mapdistill.head_losses((scores, odd), (scores, points), True).item() > 0.01


def test_released_tokens_of_equal_features_agree_at_every_step():
    """Both sides go through the same projections, however often they are thrown away."""
    config = mapkd.Config(as_released=True, token_width=4)
    tokens, features = mapkd.Tokens(2, (3, 6), config), torch.randn(1, 2, 3, 6)
    before = tokens.patch.weight.clone()
    tokens.renew()
    assert not torch.equal(tokens.patch.weight, before)
    assert torch.equal(mapkd.token_attention(tokens(features), config), mapkd.token_attention(tokens(features), config))


def test_overlapping_classes_are_judged_each_for_itself():
    """BEVFusion's layers: two classes may both be sure of one cell, which a softmax forbids."""
    logits = torch.full((1, 6, 2, 2), 20.0)
    assert bridgeta.likelihood(logits, True).min() > 0.99 and bridgeta.likelihood(logits, False).max() < 0.2


def test_foreground_is_lines_and_their_reach():
    labels = torch.zeros(1, 8, 12, dtype=torch.long)
    labels[0, 4, 6] = 2  # canvas cell 4 6 lies in decoder cell 2 3
    assert foreground.near_lines(labels, 0).nonzero().tolist() == [[0, 2, 3]]
    assert foreground.near_lines(labels, 1).nonzero()[:, 1:].tolist() == [[y, x] for y in (1, 2, 3) for x in (2, 3, 4)]


def test_relations_of_cells_on_lines():
    """Two cells on a line, at right angles for the teacher and alike for the student: cosines differ by 1 in 2 of 4."""
    labels = torch.zeros(1, 2, 4, dtype=torch.long)
    labels[0, 0, 0] = labels[0, 0, 2] = 1
    teacher = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    assert foreground.relation_loss(torch.ones(1, 2, 1, 2), teacher, labels, 9).item() == pytest.approx(0.5)
    assert foreground.relation_loss(teacher * 3, teacher, labels, 9).item() == pytest.approx(0.0, abs=1e-6)
    assert foreground.relation_loss(teacher, teacher, 0 * labels, 9).item() == 0.0
