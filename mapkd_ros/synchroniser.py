# SPDX-License-Identifier: Apache-2.0
"""Groups the frames of several cameras around those of an anchor camera. Plain Python, no ROS.

For each anchor frame every other camera gives the frame nearest in capture time, if it lies within `max_skew_ns`.
A set leaves as soon as no camera can give a nearer frame any more, at the latest `wait_ns` after the anchor arrived.
Sets leave in the order of their stamps; nothing is dropped without being counted.

Two clocks: `stamp_ns` is capture time (it may jump), `now_ns` is the caller's monotonic arrival time. Of that, what
passes between two calls counts for the wait only up to half of it: after a stall of the process, or a leap of simulated
time, the frames that came meanwhile still lie in the middleware's queues, and a set must not leave without them.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from typing import Any

from mapkd_ros.frame_buffer import FrameBuffer
from mapkd_ros.frame_set import FrameSet, Stamped
from mapkd_ros.silence import SilenceWatch
from mapkd_ros.sync_policy import SyncPolicy


class CameraSynchroniser:
    """Feed it with `add`, ask it with `poll`; both return the sets that are ready, oldest first. Not thread-safe.

    counts: whole-run totals by reason (sets_out, incomplete, too_few_cameras, resets, anchor_stand_in).
    camera_counts: per camera (received, duplicate, late, overflow, unused, jumped_back, and the states of `FrameSet`).
    """

    def __init__(self, policy: SyncPolicy) -> None:
        self.policy = policy
        self.counts: Counter[str] = Counter()
        self.camera_counts: dict[str, Counter[str]] = {name: Counter() for name in policy.cameras}
        self._clear()

    def add(self, camera: str, stamp_ns: int, payload: Any, now_ns: int) -> list[FrameSet]:
        """Take one frame; ValueError for a camera that the policy does not know."""
        if camera not in self._buffers:
            raise ValueError(f"unknown camera {camera!r}; known: {', '.join(self.policy.cameras)}")
        self.camera_counts[camera]["received"] += 1
        newest, track = Stamped(stamp_ns, payload), self._buffers[camera].track
        is_repeated = stamp_ns == track.last_ns
        is_new = track.see(newest, self.policy.jump_back_ns)
        frames = self._restart(camera, newest, now_ns) if is_new else [(camera, newest)]
        if not is_repeated:  # a driver that hangs and sends its last image again is no sign of life
            self._heard.hear(camera, now_ns)
        for name, frame in frames:
            self._take(name, frame, now_ns)
        return self.poll(now_ns)

    def poll(self, now_ns: int) -> list[FrameSet]:
        """Sets that became ready with the passing of time: call it every few milliseconds."""
        ready, waited_ns = [], self._waited(now_ns)
        while self._pending:
            stamp_ns, deadline_ns, anchor = self._pending[0]
            # The caller's clock may stand still, as /clock does in a pause: what waits is bounded all the same.
            is_full = len(self._pending) >= self.policy.depth
            if waited_ns < deadline_ns and not is_full and not self._is_settled(stamp_ns, now_ns):
                break
            self._pending.pop(0)
            frame_set = self._assemble(stamp_ns, anchor)
            if frame_set is not None:
                ready.append(frame_set)
        return ready

    def change(self, policy: SyncPolicy) -> None:
        """Another policy from the next frame on; ValueError where its cameras are others: make a new synchroniser."""
        if policy.cameras != self.policy.cameras:
            raise ValueError(f"cameras {policy.cameras} instead of {self.policy.cameras}: these cannot change")
        self.policy = policy
        for buffer in self._buffers.values():
            buffer.policy = policy
        self._heard.limit_ns = self._taken.limit_ns = policy.silent_ns

    def reset(self) -> None:
        """Forget all frames and stamps, keep the counts."""
        self.counts["resets"] += 1
        for buffer in self._buffers.values():
            buffer.forget_all()
        self._clear()

    def _clear(self) -> None:
        policy = self.policy
        self._buffers = {name: FrameBuffer(name, policy, self.camera_counts[name]) for name in policy.cameras}
        # Who is heard is waited for. Who gives nothing that can be used, as where all comes late, cannot be the anchor.
        self._heard, self._taken = (SilenceWatch(policy.cameras, policy.silent_ns) for _ in range(2))
        self._pending: list[tuple[int, int, str]] = []
        self._last_out_ns: int | None = None
        self._waited_ns = 0
        self._last_call_ns: int | None = None

    def _waited(self, now_ns: int) -> int:
        """Time that counts for the wait, see the module's docstring. A clock that steps back counts nothing."""
        passed_ns = 0 if self._last_call_ns is None else now_ns - self._last_call_ns
        self._waited_ns += min(max(passed_ns, 0), self.policy.wait_ns // 2)
        self._last_call_ns = now_ns
        return self._waited_ns

    def _restart(self, camera: str, newest: Stamped, now_ns: int) -> list[tuple[str, Stamped]]:
        """Stamps of this camera began anew, up to `newest`: the frames to be taken again, with that one last.

        With the anchor's all begins anew, and of the other cameras those frames stay that went back before it.
        """
        self.camera_counts[camera]["jumped_back"] += 1
        track = self._buffers[camera].track
        if camera != self._current_anchor(now_ns):
            again = self._buffers[camera].take_back(newest.stamp_ns)
            self._buffers[camera].forget_all()
            track.begin_anew()
            return [(camera, frame) for frame in (*again, newest)]
        limit_ns = max((track.newest_ns or 0) - self.policy.jump_back_ns, newest.stamp_ns + track.period_ns)
        kept = [
            (name, f) for name, buffer in self._buffers.items() for f in buffer.take_back(limit_ns) if f is not newest
        ]
        self.reset()
        for name, frame in kept:
            self._buffers[name].track.see(frame, self.policy.jump_back_ns)
        self._buffers[camera].track.see(newest, self.policy.jump_back_ns)
        return [*kept, (camera, newest)]

    def _take(self, camera: str, frame: Stamped, now_ns: int) -> None:
        waited_ns = self._waited(now_ns)
        if not self._buffers[camera].insert(frame, self._last_out_ns):
            return
        self._taken.hear(camera, now_ns)
        if camera == self._current_anchor(now_ns):
            insort(self._pending, (frame.stamp_ns, waited_ns + self.policy.wait_ns, camera))

    def _current_anchor(self, now_ns: int) -> str:
        """The policy's, or while that gives nothing the first camera that does."""
        candidates = (self.policy.anchor, *self.policy.cameras)
        return next((name for name in candidates if not self._taken.is_silent(name, now_ns)), self.policy.anchor)

    def _is_settled(self, stamp_ns: int, now_ns: int) -> bool:
        return all(
            buffer.track.cannot_improve(stamp_ns) or self._heard.is_silent(name, now_ns)
            for name, buffer in self._buffers.items()
        )

    def _assemble(self, stamp_ns: int, anchor: str) -> FrameSet | None:
        if self._last_out_ns is not None and stamp_ns <= self._last_out_ns:
            self.camera_counts[anchor]["late"] += 1
            return None
        frames, states = {}, {}
        for name, buffer in self._buffers.items():
            states[name], frame = buffer.choose(stamp_ns)
            self.camera_counts[name][states[name]] += 1
            if frame is not None:
                frames[name] = frame
        self._last_out_ns = stamp_ns
        reason = self._reason_to_drop(frames, anchor)
        if reason is None:
            for frame in frames.values():
                frame.is_used = True
        for buffer in self._buffers.values():
            buffer.forget_before(stamp_ns)
        self.counts[reason or "sets_out"] += 1
        if reason is not None:
            return None
        self.counts["anchor_stand_in"] += anchor != self.policy.anchor
        return FrameSet(stamp_ns, anchor, frames, states, self.counts["resets"])

    def _reason_to_drop(self, frames: dict[str, Stamped], anchor: str) -> str | None:
        if anchor not in frames:
            return "anchor_overflow"
        if self.policy.missing == "skip" and len(frames) < len(self.policy.cameras):
            return "incomplete"
        return "too_few_cameras" if len(frames) < self.policy.min_cameras else None
