# SPDX-License-Identifier: Apache-2.0
"""All pairs at once against one pair at a time; what the bound leaves out can never match."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.evaluation.chamfer import chamfer, pairwise_chamfer, resample, resample_all
from mapkd_core.types import MapElement


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 3.0))
def test_up_to_the_limit_every_distance_is_exact_and_beyond_it_none_is_below(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    sets = [rng.uniform(-3, 3, (int(rng.integers(0, 5)), 1, 2)) + rng.normal(0, 1.5, (1, 9, 2)) for _ in range(2)]
    found = pairwise_chamfer(*sets, limit_m=limit)
    expected = np.array([[chamfer(a, b) for b in sets[1]] for a in sets[0]]).reshape(found.shape)
    left_out = np.isinf(found)
    assert (expected[left_out] > limit).all()
    assert found[~left_out] == pytest.approx(expected[~left_out], abs=1e-12)


def test_the_bound_leaves_out_what_is_far_by_its_mean_and_not_by_its_nearest_point() -> None:
    one = resample(np.array([[0.0, 0], [10, 0]]), False)
    across = resample(np.array([[0.0, 0], [0, 10]]), False)  # shares a point, yet is 5 m away in the mean
    assert np.isinf(pairwise_chamfer(one[None], across[None], 1.5)).all()
    assert pairwise_chamfer(one[None], across[None]) == pytest.approx(chamfer(one, across))


def test_a_line_without_length_is_a_point() -> None:
    element = MapElement("divider", np.array([[1.0, 2], [1, 2]]))
    assert resample_all([element], 3).tolist() == [[[1, 2]] * 3]
    assert resample_all([], 3).shape == (0, 3, 2)
