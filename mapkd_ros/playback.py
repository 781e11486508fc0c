# SPDX-License-Identifier: Apache-2.0
"""Paces recorded messages by the wall clock. No ROS: publishing is handed in."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

# Every tick costs each node a message: images and their CameraInfo, odometry and its transform share one.
_NEAR_NS = 1_000_000
_LATE_S = 0.1


@dataclass
class PlaybackReport:
    """published: topic -> messages. latest_s: how late the worst message left. late: how many left over 0.1 s late."""

    published: Counter[str] = field(default_factory=Counter)
    late: int = 0
    latest_s: float = 0.0
    wall_s: float = 0.0
    bag_s: float = 0.0

    def text(self) -> str:
        """For the log: totals first, then the counts by topic."""
        topics = ", ".join(f"{topic} {count}" for topic, count in sorted(self.published.items()))
        late = f"{self.late} messages left more than {_LATE_S} s late, the worst {self.latest_s:.2f} s"
        kept_up = f"never more than {1e3 * self.latest_s:.0f} ms late"
        return (
            f"replayed {self.published.total()} messages, {self.bag_s:.1f} s of the bag in {self.wall_s:.1f} s; "
            f"{late if self.late else kept_up}: {topics}"
        )


class Player:
    """Plays messages (with .topic and .stamp_ns) at `rate` times real time; `stop` may be set from any thread.

    publish(message) is called when it is due, tick(bag time in ns) before it, where more than a
    millisecond has passed since the last one, and at least `clock_hz` times a second.
    skip_before_ns: earlier messages are left out, except those of `latched` topics, which go out at once.
    """

    def __init__(
        self, publish: Callable[[Any], None], tick: Callable[[int], None], *, rate: float = 1.0, clock_hz: float = 50.0
    ) -> None:
        self._publish, self._tick = publish, tick
        self._rate, self._clock_period_s = rate, 1.0 / clock_hz
        self._last_ns: int | None = None
        self._ticked_ns: int | None = None
        self.stop = threading.Event()
        self.report = PlaybackReport()

    def play(
        self,
        messages: Iterable[Any],
        *,
        offset_s: float = 0.0,
        duration_s: float = 0.0,
        latched: frozenset[str] = frozenset(),
    ) -> None:
        """Once through; returns at the end, after `duration_s` of bag time (0 = all), or when stopped."""
        first_ns: int | None = None
        begin_s = time.monotonic()
        for message in messages:
            if first_ns is None:
                first_ns, begin_s = message.stamp_ns + round(offset_s * 1e9), time.monotonic()
            bag_s = (message.stamp_ns - first_ns) / 1e9
            if self.stop.is_set() or (duration_s and bag_s > duration_s):
                break
            if bag_s < 0 and message.topic not in latched:
                continue
            if bag_s >= 0:
                self._wait(begin_s + bag_s / self._rate, first_ns, begin_s)
                if self.stop.is_set():
                    break
                self._note_lateness(time.monotonic() - begin_s - bag_s / self._rate)
                if self._ticked_ns is None or not 0 <= message.stamp_ns - self._ticked_ns < _NEAR_NS:
                    self._ticks_at(message.stamp_ns)
                self._last_ns = message.stamp_ns
                self.report.bag_s = max(self.report.bag_s, bag_s)
            self._publish(message)
            self.report.published[message.topic] += 1
        self.report.wall_s += time.monotonic() - begin_s

    def linger(self, seconds: float) -> None:
        """Let the clock run on after the end: who waits for bag time to pass, as for a camera's last frame, goes on."""
        begin_s = time.monotonic()
        while (elapsed_s := time.monotonic() - begin_s) < seconds:
            if self.stop.wait(min(seconds - elapsed_s, self._clock_period_s)):
                return
            if self._last_ns is not None:
                self._ticks_at(self._last_ns + round(1e9 * (time.monotonic() - begin_s) * self._rate))

    def _wait(self, due_s: float, first_ns: int, begin_s: float) -> None:
        """Sleep until `due_s`, ticking the clock meanwhile."""
        while (remaining_s := due_s - time.monotonic()) > 0:
            if self.stop.wait(min(remaining_s, self._clock_period_s)):
                return
            elapsed_s = min(time.monotonic(), due_s) - begin_s
            if due_s > time.monotonic():
                self._ticks_at(first_ns + round(1e9 * elapsed_s * self._rate))

    def _ticks_at(self, bag_ns: int) -> None:
        self._tick(bag_ns)
        self._ticked_ns = bag_ns

    def _note_lateness(self, late_s: float) -> None:
        self.report.latest_s = max(self.report.latest_s, late_s)
        self.report.late += late_s > _LATE_S
