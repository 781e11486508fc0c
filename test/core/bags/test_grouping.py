# SPDX-License-Identifier: Apache-2.0
"""Nearest images to each anchor image, against a slow and obvious search."""

from hypothesis import given
from hypothesis import strategies as st

from mapkd_core.bags.grouping import group, nearest

stamps = st.lists(st.integers(0, 1000), max_size=30)


@given(anchors=st.lists(st.integers(0, 1000), min_size=1, max_size=30), others=stamps, skew=st.integers(0, 200))
def test_the_nearest_is_taken_the_earlier_on_a_tie(anchors, others, skew):
    for anchor, found in zip(anchors, nearest(anchors, others, skew), strict=True):
        best = min(others, key=lambda stamp: (abs(stamp - anchor), stamp), default=None)
        if best is None or abs(best - anchor) > skew:
            assert found is None
        else:
            assert others[found] == best


def test_groups_follow_the_anchor_in_order():
    groups = group("a", {"a": [30, 10, 20, 20], "b": [11, 29], "c": []}, max_skew_ns=5)
    assert groups == [
        (10, {"a": 1, "b": 0, "c": None}),
        (20, {"a": 2, "b": None, "c": None}),
        (30, {"a": 0, "b": 1, "c": None}),
    ]
