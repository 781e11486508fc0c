# SPDX-License-Identifier: Apache-2.0
"""Operations against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mapkd_core.bench.cost import operations

TOKENS, WIDTH = 50, 64
PRODUCTS = 2 * 2 * TOKENS * TOKENS * WIDTH  # queries by keys, weights by values


@pytest.mark.parametrize("is_training", [True, False])
def test_attention_counts_whichever_kernel_pytorch_takes(is_training):
    """In eval mode it takes a fused layer, of which its counter sees nothing."""
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, batch_first=True).train(is_training)
    by_hand = 2 * TOKENS * WIDTH * (3 * WIDTH + WIDTH + 2 * 2 * WIDTH) + PRODUCTS
    assert operations(layer, torch.zeros(1, TOKENS, WIDTH)) == by_hand
    assert layer.training == is_training and torch.backends.mha.get_fastpath_enabled()


def test_a_products_kernel_of_its_own_counts_too():
    class Alone(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    assert operations(Alone(), torch.zeros(1, 4, TOKENS, WIDTH // 4)) == PRODUCTS
