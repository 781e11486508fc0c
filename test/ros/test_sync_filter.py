# SPDX-License-Identifier: Apache-2.0
"""The synchroniser as a message_filters filter: chains, time, and callbacks that raise."""

from __future__ import annotations

from types import SimpleNamespace

import message_filters
import pytest

from mapkd_ros.sync_filter import CameraSyncFilter
from mapkd_ros.sync_policy import SyncPolicy

SECOND = 10**9


def message(stamp_ns):
    stamp = SimpleNamespace(sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp))


class Chain:
    def __init__(self, cameras=("A", "B"), **changes):
        self.now = 0
        self.sources = {name: message_filters.SimpleFilter() for name in cameras}
        policy = SyncPolicy(tuple(cameras), cameras[0], **changes)
        self.filter = CameraSyncFilter(self.sources, policy, now_ns=lambda: self.now)
        self.sets = []
        self.filter.registerCallback(self.sets.append)

    def send(self, camera, stamp_ns):
        self.sources[camera].signalMessage(message(stamp_ns))


def test_a_complete_set_leaves_at_once_with_the_messages():
    chain = Chain()
    chain.send("A", SECOND)
    assert not chain.sets
    chain.send("B", SECOND + 1000)
    assert [s.stamp_ns for s in chain.sets] == [SECOND]
    assert chain.sets[0].frames["B"].payload.header.stamp.nanosec == 1000


def test_poll_lets_the_wait_limit_pass():
    chain = Chain(wait_ns=SECOND // 10)
    chain.send("A", SECOND)
    for _ in range(9):  # one leap would count for half the limit at most
        chain.now += SECOND // 100
        chain.filter.poll()
        assert not chain.sets
    chain.now += SECOND // 100
    chain.filter.poll()
    assert chain.sets[0].states == {"A": "ok", "B": "missing"}


def test_an_exception_in_the_callback_does_not_block_the_next_set():
    chain = Chain(cameras=("A",))
    failing = lambda _: 1 / 0  # noqa: E731
    chain.filter.registerCallback(failing)
    for step in (1, 2):
        with pytest.raises(ZeroDivisionError):
            chain.send("A", step * SECOND)
    assert [s.stamp_ns for s in chain.sets] == [SECOND, 2 * SECOND]


def test_a_callback_may_call_back_into_the_filter():
    chain = Chain(cameras=("A",))
    chain.filter.registerCallback(lambda _: chain.filter.reset())
    chain.send("A", SECOND)
    assert chain.filter.synchroniser.counts["resets"] == 1


def test_messages_without_a_stamp_are_counted():
    chain = Chain()
    chain.send("B", 0)
    assert chain.filter.synchroniser.camera_counts["B"]["unstamped"] == 1


def test_filters_and_policy_must_name_the_same_cameras():
    with pytest.raises(ValueError, match="policy names A, B"):
        CameraSyncFilter({"A": message_filters.SimpleFilter()}, SyncPolicy(("A", "B"), "A"))
