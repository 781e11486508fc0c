# SPDX-License-Identifier: Apache-2.0
"""Synthetic camera streams for the synchroniser: phase, jitter, loss, delay."""

from __future__ import annotations

import itertools

from mapkd_ros.frame_set import FrameSet
from mapkd_ros.sync_policy import SyncPolicy
from mapkd_ros.sync_streams import CAMERAS, MS, PERIOD_NS, START_NS, Streams, played

__all__ = ["CAMERAS", "MS", "PERIOD_NS", "START_NS", "assert_in_order", "events", "play", "policy"]


def policy(**changes) -> SyncPolicy:
    return SyncPolicy(**{"cameras": CAMERAS, "anchor": "FRONT", **changes})


def events(count=240, without=(), seed=0, **changes):
    """(arrival ns, camera, stamp ns) sorted by arrival; the anchor is first in phase and never lost."""
    return Streams(count, dead=dict.fromkeys(without, 0), **changes).events(seed)


def play(synchroniser, stream) -> list[FrameSet]:
    return [frame_set for _, frame_set in played(synchroniser, stream)]


def assert_in_order(sets):
    stamps = [s.stamp_ns for s in sets]
    assert all(a < b for a, b in itertools.pairwise(stamps))
