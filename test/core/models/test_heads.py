# SPDX-License-Identifier: Apache-2.0
"""Decoder and heads: shapes, and that groups of queries share everything but their priors and never see each other."""

from __future__ import annotations

import pytest
import torch

from mapkd_core.models.decoder import BevDecoder, Residual
from mapkd_core.models.query_head import TRUNK_GRADIENT, QueryHead
from mapkd_core.models.raster_head import RasterHead


def _levels(batch: int = 2) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(batch, 8 * 2**i, 20 // 2**i, 40 // 2**i) for i in range(3))


def test_decoder_gives_three_scales():
    with torch.inference_mode():
        full, half, quarter, fused, bottleneck = BevDecoder(27, 8).eval()(torch.randn(1, 27, 20, 40))
    assert full.shape == (1, 8, 20, 40) and half.shape == (1, 16, 10, 20) and quarter.shape == (1, 32, 5, 10)
    assert bottleneck is quarter, "without priors"
    assert fused.shape == full.shape


def test_dilated_residual_keeps_the_size():
    assert Residual(4, 2)(torch.randn(1, 4, 9, 11)).shape == (1, 4, 9, 11)


def test_raster_head_draws_on_the_canvas():
    semantic, embedding, direction = RasterHead(8, 4, 4).eval()(torch.randn(2, 8, 20, 40))
    assert semantic.shape == (2, 4, 40, 80) and embedding.shape == (2, 4, 40, 80) and direction.shape == (2, 2, 40, 80)


def test_canvas_cells_of_a_bev_cell_lie_under_it():
    """Only the four canvas cells of the one BEV cell change when it changes."""
    head = RasterHead(8, 4, 4).eval()
    head.block = torch.nn.Identity()
    head.out = torch.nn.Conv2d(8, 4 * 10, 1)
    bev = torch.zeros(1, 8, 20, 40)
    changed = bev.clone()
    changed[0, :, 7, 11] = 5.0
    difference = (head(changed)[0] - head(bev)[0]).abs().sum((0, 1))
    rows, columns = difference.nonzero().unbind(1)
    assert set(rows.tolist()) == {14, 15} and set(columns.tolist()) == {22, 23}


def test_all_groups_train_and_one_answers(tiny):
    head = QueryHead(tiny, (8, 16, 32))
    training, answers = head.train()(_levels()), head.eval()(_levels())
    assert len(training) == len(answers) == tiny.query_layers
    assert all(s.shape == (2, 16, 3) and p.shape == (2, 16, 10, 2) for s, p in training)
    assert all(s.shape == (2, 8, 3) and p.shape == (2, 8, 10, 2) for s, p in answers)


def test_first_group_is_the_one_that_answers(tiny):
    """What the first group says in training is what the head says in use: the others leave no trace in it."""
    head, levels = QueryHead(tiny, (8, 16, 32)), _levels()
    for (scores, points), (answered, placed) in zip(head.train()(levels), head.eval()(levels)):
        torch.testing.assert_close(scores[:, :8], answered, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(points[:, :8], placed, atol=1e-5, rtol=1e-4)


def test_priors_lie_in_the_range(tiny):
    prior = QueryHead(tiny, (8, 16, 32)).prior
    assert prior.shape == (16, 10, 2)
    assert (prior >= 0).all() and (prior <= 1).all()


def test_points_read_the_bev_where_they_are(tiny):
    """x is the column and y the row: a change under a query's prior changes its answer, one far away changes less."""
    head = QueryHead(tiny, (8, 16, 32)).eval()
    with torch.no_grad():
        head.prior[0, :, 0] = torch.linspace(0.1, 0.3, 10)
        head.prior[0, :, 1] = 0.8
        first = head.layers[0]
        levels = [torch.zeros(1, 8 * 2**i, 20 // 2**i, 40 // 2**i) for i in range(3)]
        values = [value(level) for value, level in zip(head.values, levels)]
        base = first(head.content[None, :8], head.prior[None, :8], values, 1)[0][0, 0]
        under, far = [v.clone() for v in values], [v.clone() for v in values]
        under[0][:, :, 16, 4:12] += 3.0
        far[0][:, :, 3, 30:38] += 3.0
        moved = [first(head.content[None, :1], head.prior[None, :1], v, 1)[0][0, 0] for v in (values, under, far)]
    assert (moved[1] - moved[0]).abs().max() > 10 * (moved[2] - moved[0]).abs().max()
    assert base.shape == moved[0].shape


@pytest.mark.parametrize("training", [True, False])
def test_gradients_reach_priors_and_levels(tiny, training):
    head, levels = QueryHead(tiny, (8, 16, 32)).train(training), _levels()
    for level in levels:
        level.requires_grad_(True)
    scores, points = head(levels)[0]
    (scores.square().sum() + points.square().sum()).backward()
    assert head.prior.grad.abs().sum() > 0
    assert all(level.grad.abs().sum() > 0 for level in levels)


def test_the_features_receive_a_share_of_the_query_heads_gradient(tiny):
    head, levels = QueryHead(tiny, (8, 16, 32)), tuple(level.requires_grad_() for level in _levels())
    head.prior.data, head.content.data = head.prior.data[:8], head.content.data[:8]  # one group, as in use
    head.train()(levels)[-1][1].sum().backward()
    in_training = [level.grad.clone() for level in levels]
    for level in levels:
        level.grad = None
    head.eval()(levels)[-1][1].sum().backward()
    for share, level in zip(in_training, levels, strict=True):
        torch.testing.assert_close(share, TRUNK_GRADIENT * level.grad)
        assert share.abs().sum() > 0
