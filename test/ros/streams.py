# SPDX-License-Identifier: Apache-2.0
"""Synthetic camera streams for the synchroniser: phase, jitter, loss, delay."""

from __future__ import annotations

import itertools

import numpy as np

from mapkd_ros.synchroniser import FrameSet, SyncPolicy

CAMERAS = ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
MS = 1_000_000
PERIOD_NS = 83_333_333
START_NS = 1_600_000_000 * 10**9


def policy(**changes) -> SyncPolicy:
    return SyncPolicy(**{"cameras": CAMERAS, "anchor": "FRONT", **changes})


def events(count=240, spread_ms=0.0, jitter_ms=0.0, loss=0.0, delay_ms=5.0, seed=0, without=()):
    """(arrival ns, camera, stamp ns) sorted by arrival; the anchor is first in phase and never lost."""
    rng = np.random.default_rng(seed)
    result = []
    for index, (number, camera) in itertools.product(range(count), enumerate(CAMERAS)):
        lost = camera != "FRONT" and rng.random() < loss
        shift = spread_ms * number / (len(CAMERAS) - 1) + jitter_ms * rng.uniform(-1, 1)
        stamp = START_NS + index * PERIOD_NS + int(shift * MS)
        if camera not in without and not lost:
            result.append((stamp - START_NS + int(delay_ms * MS * rng.uniform(0.5, 1.5)), camera, stamp))
    return sorted(result)


def play(synchroniser, stream, poll_ms=10) -> list[FrameSet]:
    sets, now = [], 0
    for arrival, camera, stamp in stream:
        while now + poll_ms * MS < arrival:
            now += poll_ms * MS
            sets += synchroniser.poll(now)
        now = max(now, arrival)
        sets += synchroniser.add(camera, stamp, (camera, stamp), now)
    for _ in range(100):  # one leap of a second would count as a stall
        now += poll_ms * MS
        sets += synchroniser.poll(now)
    return sets


def assert_in_order(sets):
    stamps = [s.stamp_ns for s in sets]
    assert all(a < b for a, b in itertools.pairwise(stamps))
