# SPDX-License-Identifier: Apache-2.0
"""Simulated camera streams, and a synchroniser played with them: phase, jitter, loss, delay, rates, deaths. No ROS."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mapkd_ros.frame_set import FrameSet
from mapkd_ros.synchroniser import CameraSynchroniser

CAMERAS = ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
ANCHOR = CAMERAS[0]
MS = 1_000_000
PERIOD_NS = 83_333_333
START_NS = 1_600_000_000 * 10**9

Event = tuple[int, str, int]  # arrival ns, camera, capture stamp ns


@dataclass(frozen=True)
class Streams:
    """The cameras take turns at 12 Hz, each `spread_ms` / 5 after the one before it, the anchor first.

    loss: share of the frames that never arrive, of every camera but the anchor, and of the anchor if `loses_anchor`.
    jitter_ms: of a stamp, uniform, either way. delay_ms: mean of capture to arrival, uniform from half to 1.5 of it.
    rates_hz: of cameras that are not at 12 Hz. dead: camera -> the turn from which on it gives nothing.
    """

    turns: int = 240
    spread_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    loses_anchor: bool = False
    delay_ms: float = 5.0
    rates_hz: Mapping[str, float] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)

    def events(self, seed: int = 0) -> list[Event]:
        """In the order of arrival; of one seed always the same."""
        rng, result = np.random.default_rng(seed), []
        most = round(self.turns * max(self.rates_hz.values(), default=0.0) * PERIOD_NS / 1e9)
        for index, (number, camera) in itertools.product(range(max(most, self.turns)), enumerate(CAMERAS)):
            is_lost = (camera != ANCHOR or self.loses_anchor) and rng.random() < self.loss
            shift_ms = self.spread_ms * number / (len(CAMERAS) - 1) + self.jitter_ms * rng.uniform(-1, 1)
            period_ns = round(1e9 / self.rates_hz[camera]) if camera in self.rates_hz else PERIOD_NS
            passed_ns = index * period_ns
            alive_ns = min(self.dead.get(camera, self.turns), self.turns) * PERIOD_NS
            if not is_lost and passed_ns < alive_ns:
                since_ns = passed_ns + int(shift_ms * MS)
                delay_ns = int(self.delay_ms * MS * rng.uniform(0.5, 1.5))
                result.append((since_ns + delay_ns, camera, START_NS + since_ns))
        return sorted(result)


def played(
    synchroniser: CameraSynchroniser, events: Sequence[Event], poll_ms: int = 10
) -> Iterator[tuple[int, FrameSet]]:
    """(when it left, ns; set). Asked every `poll_ms`, for a second more than there is to come."""
    now_ns = 0
    for arrival_ns, camera, stamp_ns in events:
        while now_ns + poll_ms * MS < arrival_ns:
            now_ns += poll_ms * MS
            yield from ((now_ns, frame_set) for frame_set in synchroniser.poll(now_ns))
        now_ns = max(now_ns, arrival_ns)
        ready = synchroniser.add(camera, stamp_ns, (camera, stamp_ns), now_ns)
        yield from ((now_ns, frame_set) for frame_set in ready)
    for _ in range(1000 // poll_ms):  # one leap of a second would count as a stall
        now_ns += poll_ms * MS
        yield from ((now_ns, frame_set) for frame_set in synchroniser.poll(now_ns))
