# SPDX-License-Identifier: Apache-2.0
"""Pacing of recorded messages by the wall clock."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from mapkd_ros.playback import Player

SECOND = 10**9


def messages(count, period_s=0.05):
    return [SimpleNamespace(topic="t", stamp_ns=7 * SECOND + round(i * period_s * SECOND)) for i in range(count)]


def test_messages_leave_on_time_and_the_clock_never_goes_back():
    sent, ticks = [], []
    player = Player(lambda _: sent.append(time.monotonic()), ticks.append, rate=2.0, clock_hz=100.0)
    player.play(messages(9))
    # Never early; how late is the machine's affair, but it does not add up.
    late = [moment - sent[0] - i * 0.025 for i, moment in enumerate(sent)]
    assert min(late) > -0.02 and late[-1] < 0.5
    assert ticks == sorted(ticks) and ticks[0] == 7 * SECOND and ticks[-1] == 7 * SECOND + 4 * SECOND // 10
    assert len(ticks) > 9, "the clock ticks between messages, too"
    assert player.report.bag_s == pytest.approx(0.4)


def test_what_comes_late_is_counted():
    player = Player(lambda _: time.sleep(0.06), lambda _: None, rate=10.0)
    player.play(messages(6))
    assert player.report.late >= 3 and player.report.latest_s > 0.2
    assert "left more than 0.1 s late" in player.report.text()


def test_an_offset_skips_all_but_latched_topics_and_a_duration_ends():
    sent = []
    player = Player(lambda m: sent.append((m.topic, m.stamp_ns)), lambda _: None, rate=100.0)
    first = SimpleNamespace(topic="tf_static", stamp_ns=7 * SECOND)
    options = {"offset_s": 0.2, "duration_s": 0.1, "latched": frozenset(["tf_static"])}
    player.play([first, *messages(10)], **options)
    assert sent[0] == ("tf_static", 7 * SECOND)
    assert [stamp for _, stamp in sent[1:]] == [7 * SECOND + i * SECOND // 20 for i in (4, 5, 6)]


def test_stop_ends_a_long_wait_at_once():
    player = Player(lambda _: None, lambda _: None)
    thread = threading.Thread(target=player.play, args=(messages(2, period_s=60.0),))
    thread.start()
    time.sleep(0.05)
    player.stop.set()
    thread.join(0.5)
    assert not thread.is_alive()


def test_the_clock_runs_on_after_the_end():
    ticks = []
    player = Player(lambda _: None, ticks.append, rate=2.0, clock_hz=100.0)
    player.play(messages(2))
    end_ns = ticks[-1]
    player.linger(0.1)
    assert ticks == sorted(ticks) and len(ticks) > 4
    assert end_ns + 0.15 * SECOND < ticks[-1] < end_ns + 2 * SECOND


def test_messages_of_one_moment_share_a_tick_and_none_is_a_millisecond_ahead_of_it():
    """A tick costs every node a message; a drive has 25 messages a frame, most of them in pairs."""
    stamps = [0, 0, 900_000, 1_000_000, 1_000_000, 5_000_000, 4_000_000]
    seen: list[tuple[str, int]] = []
    player = Player(lambda m: seen.append(("message", m.stamp_ns)), lambda ns: seen.append(("tick", ns)))
    player.play([SimpleNamespace(topic="t", stamp_ns=7 * SECOND + stamp) for stamp in stamps])
    ticks = [ns - 7 * SECOND for kind, ns in seen if kind == "tick"]
    assert ticks == [0, 1_000_000, 5_000_000, 4_000_000], "and where a bag goes back the clock goes with it"
    now = None
    for kind, ns in seen:
        now = ns if kind == "tick" else now
        assert now is not None and 0 <= ns - now < 1_000_000
