# SPDX-License-Identifier: Apache-2.0
"""A pose over time: interpolated between its samples, extrapolated only within a bound. No ROS."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable

from mapkd_core.geometry import Matrix, interpolate

# Least time between the two samples that give the velocity of an extrapolation, where there are such.
_BASELINE_NS = 50_000_000
# So many samples in a row behind the newest are a clock that was set back, not samples that were overtaken.
BEHIND_SAMPLES = 3

PoseAt = Callable[[int], Matrix | None]  # stamp in ns -> a_T_b, None where unknown


class PoseUnavailableError(LookupError):
    """No pose or transform for the time or the frames asked for; the message says what is there."""


class PoseTrack:
    """Samples of a_T_b of the last `keep_ns`, by stamp. A step back of more than `jump_back_ns` starts anew.

    So does the third of samples that follow each other behind the newest, as where a clock was set back a little or a
    short bag loops (`stamp_track` has the same rule for images): two pasts in one track are a motion that never was.

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
        self._behind: list[tuple[int, Matrix]] = []  # since the newest, each later than the one before
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
            self._clear()

    def keep_latest(self) -> None:
        """Forget all samples but the newest."""
        with self._lock:
            del self._stamps_ns[:-1], self._poses[:-1]
            self._behind.clear()

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
        again = self._begun_anew(stamp_ns, a_T_b)
        if again:
            self._clear()
        for at_ns, pose in again or [(stamp_ns, a_T_b)]:
            self._insert(at_ns, pose)

    def _begun_anew(self, stamp_ns: int, a_T_b: Matrix) -> list[tuple[int, Matrix]]:
        """Where stamps began anew with this sample or two before it: the samples since then, with this one last."""
        if not self._stamps_ns or stamp_ns > self._stamps_ns[-1]:
            self._behind.clear()
            return []
        if self._behind and stamp_ns < self._behind[-1][0]:
            self._behind.clear()
        if not self._behind or stamp_ns > self._behind[-1][0]:  # one that was sent twice says nothing
            self._behind.append((stamp_ns, a_T_b))
        is_leap = stamp_ns < self._stamps_ns[-1] - self._jump_back_ns
        return list(self._behind) if is_leap or len(self._behind) >= BEHIND_SAMPLES else []

    def _clear(self) -> None:
        self._stamps_ns.clear()
        self._poses.clear()
        self._behind.clear()

    def _insert(self, stamp_ns: int, a_T_b: Matrix) -> None:
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
