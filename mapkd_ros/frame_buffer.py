# SPDX-License-Identifier: Apache-2.0
"""The frames of one camera that may still be of use, by stamp. Plain Python, no ROS."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from mapkd_ros.frame_set import MISSING, OK, REUSED, TOO_FAR, Stamped
from mapkd_ros.stamp_track import StampTrack
from mapkd_ros.sync_policy import SyncPolicy


class FrameBuffer:
    """frames: in the order of their stamps. track: of all that were taken. counts: of the camera, for the whole run.

    Every frame that comes in ends in a set, in `frames`, or in one of duplicate, late, overflow, unused.
    """

    def __init__(self, camera: str, policy: SyncPolicy, counts: Counter[str]) -> None:
        self.camera, self.policy, self.counts = camera, policy, counts
        self.frames: list[Stamped] = []
        self.track = StampTrack()

    def insert(self, frame: Stamped, last_out_ns: int | None) -> bool:
        """Whether the frame is now here; if not, `frame.refused` says why. last_out_ns: of the last set."""
        frame.refused = self._reason_to_refuse(frame, last_out_ns)
        if frame.refused:
            self.counts[frame.refused] += 1
            return False
        self.frames.insert(bisect_left(self.frames, frame), frame)
        self.track.learn(frame.stamp_ns)
        if len(self.frames) > self.policy.depth:
            oldest = self.frames.pop(0)
            if not oldest.is_used:
                self.counts["overflow"] += 1
        return True

    def choose(self, stamp_ns: int) -> tuple[str, Stamped | None]:
        """State and frame of this camera in a set of that stamp."""
        if not self.frames:
            return MISSING, None
        nearest = min(self.frames, key=lambda frame: abs(frame.stamp_ns - stamp_ns))
        if abs(nearest.stamp_ns - stamp_ns) <= self.policy.max_skew_ns:
            return OK, nearest
        if self.policy.missing == "reuse":
            past = [frame for frame in self.frames if 0 <= stamp_ns - frame.stamp_ns <= self.policy.max_reuse_age_ns]
            if past:
                return REUSED, past[-1]
        return TOO_FAR, None

    def forget_before(self, stamp_ns: int) -> None:
        """What a set of that stamp leaves without use."""
        oldest_ns = stamp_ns - self._keep_ns()
        while self.frames and self.frames[0].stamp_ns <= oldest_ns:
            frame = self.frames.pop(0)
            self.counts["unused"] += not frame.is_used

    def forget_all(self) -> None:
        self.counts["unused"] += sum(not frame.is_used for frame in self.frames)
        self.frames.clear()

    def take_back(self, before_ns: int) -> list[Stamped]:
        """The frames since the last step back, as if they had never come; those of later stamps stay where they are."""
        taken = []
        for frame in self.track.since:
            if frame.stamp_ns >= before_ns:
                continue
            if frame.refused:
                self.counts[frame.refused] -= 1
            elif any(frame is kept for kept in self.frames):
                self.frames = [kept for kept in self.frames if kept is not frame]
            else:
                continue
            taken.append(frame)
        return taken

    def _reason_to_refuse(self, frame: Stamped, last_out_ns: int | None) -> str:
        index = bisect_left(self.frames, frame)
        is_here = index < len(self.frames) and self.frames[index].stamp_ns == frame.stamp_ns
        if is_here or frame.stamp_ns == self.track.newest_ns:
            return "duplicate"
        # Much older is not late: this camera's stamps went back, and the anchor's may follow.
        if last_out_ns is not None and self._keep_ns() <= last_out_ns - frame.stamp_ns <= self.policy.jump_back_ns:
            return "late"
        return ""

    def _keep_ns(self) -> int:
        """How long before the last output a frame may still be of use."""
        if self.camera == self.policy.anchor:
            return 0
        return max(self.policy.max_skew_ns, self.policy.max_reuse_age_ns if self.policy.missing == "reuse" else 0)
