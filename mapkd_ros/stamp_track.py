# SPDX-License-Identifier: Apache-2.0
"""Where one camera's capture times stand: the newest, the period, and whether they began anew. Plain Python, no ROS.

A frame with an older stamp than the one before is either late, because others overtook it on the way, or the first of a
bag that begins again. A leap of seconds is never lateness. A smaller step back is told by what follows: after a late
frame come newer ones, after a new beginning none. So the third frame in a row that is not newer than the newest begins
anew. Frames that are overtaken by two others at most, which is more than one driver's threads do, never seem to.
"""

from __future__ import annotations

from mapkd_ros.frame_set import Stamped

BEHIND_FRAMES = 3
_KEPT = 6  # frames after which no other camera can be expected to follow


class StampTrack:
    """newest_ns: of the frames that were taken. last_ns: of the one that came last. since: the first few from the last
    step back on.
    """

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        self.since: list[Stamped] = []
        self._period_ns: int | None = None
        self._top_ns: int | None = None  # as newest_ns, but survives `begin_anew`
        self.last_ns: int | None = None
        self._behind = 0

    def see(self, frame: Stamped, leap_ns: int) -> bool:
        """The next frame as it arrived: whether stamps began anew, with `since[0]`."""
        at_ns, last_ns = frame.stamp_ns, self.last_ns
        self.last_ns = at_ns
        if self._top_ns is None or at_ns > self._top_ns or len(self.since) == _KEPT:
            self._top_ns = at_ns
            self.since.clear()
        else:
            if self.since and at_ns < self.since[-1].stamp_ns:
                self.since.clear()
            self.since.append(frame)
        if self.newest_ns is None or at_ns > self.newest_ns:
            self._behind = 0
            return False
        if at_ns != last_ns:  # one that was sent twice says nothing
            self._behind += 1
        return at_ns < self.newest_ns - leap_ns or self._behind >= BEHIND_FRAMES

    def begin_anew(self) -> None:
        """Forget newest and period; `since` stays."""
        self.newest_ns, self._period_ns, self._behind = None, None, 0

    def learn(self, stamp_ns: int) -> None:
        """A frame of this stamp was taken."""
        newest = self.newest_ns
        if newest is not None and stamp_ns > newest:
            step = stamp_ns - newest
            # A lost frame doubles one step, so short steps count at once and long ones only slowly.
            known = step if self._period_ns is None else self._period_ns
            self._period_ns = min(step, known + known // 8)
        self.newest_ns = stamp_ns if newest is None else max(stamp_ns, newest)

    @property
    def period_ns(self) -> int:
        """0 while unknown."""
        return self._period_ns or 0

    def cannot_improve(self, stamp_ns: int) -> bool:
        """Whether no frame still to come can be nearer to `stamp_ns` than those at hand."""
        if self.newest_ns is None:
            return False
        if self.newest_ns >= stamp_ns:
            return True
        expected_ns = self.newest_ns + self.period_ns
        return expected_ns > self.newest_ns and expected_ns - stamp_ns >= stamp_ns - self.newest_ns
