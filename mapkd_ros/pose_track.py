# SPDX-License-Identifier: Apache-2.0
"""A pose over time: interpolated between its samples, extrapolated only within a bound. No ROS."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable

from mapkd_core.geometry import Matrix, interpolate

# Least time between the two samples that give the velocity of an extrapolation, where there are such.
_BASELINE_NS = 50_000_000

PoseAt = Callable[[int], Matrix | None]  # stamp in ns -> a_T_b, None where unknown


class PoseUnavailableError(LookupError):
    """No pose or transform for the time or the frames asked for; the message says what is there."""


class PoseTrack:
    """Samples of a_T_b of the last `keep_ns`, by stamp. A step back of more than `jump_back_ns` starts anew.

    max_gap_ns: between two samples farther apart nothing is interpolated, for a vehicle turns and stops in between.
        nuScenes' bags have one pose in 0.5 s.
    Thread-safe: callbacks write, the worker reads.
    """

    def __init__(
        self, keep_ns: int = 10_000_000_000, jump_back_ns: int = 1_000_000_000, max_gap_ns: int = 1_000_000_000
    ) -> None:
        self._keep_ns, self._jump_back_ns, self._max_gap_ns = keep_ns, jump_back_ns, max_gap_ns
        self._stamps_ns: list[int] = []
        self._poses: list[Matrix] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._stamps_ns)

    def add(self, stamp_ns: int, a_T_b: Matrix) -> None:
        """Samples may come out of order; a second one of the same stamp replaces the first."""
        with self._lock:
            self._add(stamp_ns, a_T_b)

    def clear(self) -> None:
        """Forget all samples."""
        with self._lock:
            self._stamps_ns.clear()
            self._poses.clear()

    def latest(self) -> Matrix:
        """The newest sample; PoseUnavailableError when there is none."""
        with self._lock:
            if not self._poses:
                raise PoseUnavailableError("no pose received yet")
            return self._poses[-1]

    def at(self, stamp_ns: int, extrapolate_ns: int = 0) -> Matrix:
        """a_T_b at `stamp_ns`; beyond the ends by at most `extrapolate_ns`, and in no gap over `max_gap_ns`.

        Else PoseUnavailableError.
        """
        with self._lock:
            return self._at(stamp_ns, extrapolate_ns)

    def _add(self, stamp_ns: int, a_T_b: Matrix) -> None:
        if self._stamps_ns and stamp_ns < self._stamps_ns[-1] - self._jump_back_ns:
            self._stamps_ns.clear()
            self._poses.clear()
        index = bisect_left(self._stamps_ns, stamp_ns)
        if index < len(self) and self._stamps_ns[index] == stamp_ns:
            self._poses[index] = a_T_b
            return
        self._stamps_ns.insert(index, stamp_ns)
        self._poses.insert(index, a_T_b)
        stale = bisect_left(self._stamps_ns, self._stamps_ns[-1] - self._keep_ns)
        del self._stamps_ns[:stale], self._poses[:stale]

    def _at(self, stamp_ns: int, extrapolate_ns: int) -> Matrix:
        if not self._poses:
            raise PoseUnavailableError("no pose received yet")
        first_ns, last_ns = self._stamps_ns[0], self._stamps_ns[-1]
        if not first_ns - extrapolate_ns <= stamp_ns <= last_ns + extrapolate_ns:
            gap_ns = first_ns - stamp_ns if stamp_ns < first_ns else stamp_ns - last_ns
            side = "before the oldest" if stamp_ns < first_ns else "after the newest"
            raise PoseUnavailableError(f"stamp {stamp_ns} ns is {gap_ns / 1e6:.1f} ms {side} pose at hand")
        if len(self) == 1:
            return self._poses[0]
        right = min(max(bisect_left(self._stamps_ns, stamp_ns), 1), len(self) - 1)
        left = right - 1
        # A velocity from two samples a millisecond apart is noise: over the ends it is taken from a longer time.
        if stamp_ns > last_ns:
            left = max(bisect_left(self._stamps_ns, last_ns - _BASELINE_NS + 1) - 1, 0)
        elif stamp_ns < first_ns:
            right = min(bisect_left(self._stamps_ns, first_ns + _BASELINE_NS), len(self) - 1)
        begin_ns, end_ns = self._stamps_ns[left], self._stamps_ns[right]
        if end_ns - begin_ns > self._max_gap_ns and stamp_ns not in (begin_ns, end_ns):
            raise PoseUnavailableError(
                f"stamp {stamp_ns} ns: the poses to take it from are {(end_ns - begin_ns) / 1e6:.0f} ms apart, "
                f"more than {self._max_gap_ns / 1e6:.0f} ms"
            )
        return interpolate(self._poses[left], self._poses[right], (stamp_ns - begin_ns) / (end_ns - begin_ns))
