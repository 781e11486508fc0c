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

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mapkd_ros.silence import SilenceWatch

MISSING_POLICIES = ("skip", "mask", "reuse")
OK, MISSING, TOO_FAR, REUSED = "ok", "missing", "too_far", "reused"


@dataclass(frozen=True)
class SyncPolicy:
    """When frames belong together, how long to wait for them, and what to do without them.

    missing: skip = no output; mask = output without the camera; reuse = its last frame up to `max_reuse_age_ns` old.
    silent_ns: a camera silent for so long, while others speak, is not waited for; if it is the anchor, another camera
        stands in for it.
    jump_back_ns: stamps of the anchor that go back by more restart everything (a bag that loops); those of another
        camera only that camera, or one with a bad clock would stop all.
    """

    cameras: tuple[str, ...]
    anchor: str
    max_skew_ns: int = 50_000_000
    wait_ns: int = 100_000_000
    silent_ns: int = 500_000_000
    missing: str = "mask"
    min_cameras: int = 1
    max_reuse_age_ns: int = 300_000_000
    jump_back_ns: int = 1_000_000_000
    depth: int = 16

    def __post_init__(self) -> None:
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f"cameras {self.cameras}: give at least one name, each once")
        if self.anchor not in self.cameras:
            raise ValueError(f"anchor {self.anchor!r} is not one of the cameras {', '.join(self.cameras)}")
        if self.missing not in MISSING_POLICIES:
            raise ValueError(f"missing {self.missing!r}: use one of {', '.join(MISSING_POLICIES)}")
        if not 1 <= self.min_cameras <= len(self.cameras):
            raise ValueError(f"min_cameras {self.min_cameras}: use 1 to {len(self.cameras)}, the number of cameras")
        least = min(self.max_skew_ns, self.wait_ns, self.max_reuse_age_ns)
        if least < 0 or min(self.silent_ns, self.jump_back_ns) <= 0:
            raise ValueError(f"negative time in {self}")


@dataclass(order=True)
class Stamped:
    """One camera frame; the payload is opaque here."""

    stamp_ns: int
    payload: Any = field(compare=False)
    is_used: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class FrameSet:
    """What the cameras saw around `stamp_ns`, the anchor's capture time.

    frames: camera -> frame, only cameras that have one. states: every camera -> ok, missing, too_far or reused.
    epoch: how often stamps started anew before this set; where it changes, temporal memory must be dropped.
    """

    stamp_ns: int
    anchor: str
    frames: dict[str, Stamped]
    states: dict[str, str]
    epoch: int = 0

    @property
    def skew_ns(self) -> int:
        """Largest distance of a frame that is ok from the anchor."""
        return max(abs(f.stamp_ns - self.stamp_ns) for name, f in self.frames.items() if self.states[name] == OK)


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
        if self._jumped_back(camera, stamp_ns):
            self._restart(camera, now_ns)
        self._silence.hear(camera, now_ns)
        waited_ns = self._waited(now_ns)
        if self._insert(camera, Stamped(stamp_ns, payload)) and camera == self._current_anchor(now_ns):
            insort(self._pending, (stamp_ns, waited_ns + self.policy.wait_ns, camera))
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
        self._silence.limit_ns = policy.silent_ns

    def reset(self) -> None:
        """Forget all frames and stamps, keep the counts."""
        self.counts["resets"] += 1
        for name in self._buffers:
            self._forget_all(name)
        self._clear()

    def _clear(self) -> None:
        self._buffers: dict[str, list[Stamped]] = {name: [] for name in self.policy.cameras}
        self._silence = SilenceWatch(self.policy.cameras, self.policy.silent_ns)
        self._newest_ns: dict[str, int] = {}
        self._period_ns: dict[str, int] = {}
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

    def _restart(self, camera: str, now_ns: int) -> None:
        """Stamps of this camera went back. With the anchor's all is new, but for who went back a moment before it."""
        self.camera_counts[camera]["jumped_back"] += 1
        if camera != self._current_anchor(now_ns):
            self._forget_all(camera)
            del self._newest_ns[camera]
            self._period_ns.pop(camera, None)
            return
        new_ns = self._newest_ns[camera] - self.policy.jump_back_ns
        ahead = {name: [f for f in buffer if f.stamp_ns < new_ns] for name, buffer in self._buffers.items()}
        for name, frames in ahead.items():
            self._buffers[name] = [f for f in self._buffers[name] if f not in frames]
        self.reset()
        for name, frames in ahead.items():
            for frame in frames:
                self._buffers[name].append(frame)
                self._learn_period(name, frame.stamp_ns)

    def _forget_all(self, camera: str) -> None:
        self.camera_counts[camera]["unused"] += sum(not frame.is_used for frame in self._buffers[camera])
        self._buffers[camera].clear()

    def _jumped_back(self, camera: str, stamp_ns: int) -> bool:
        newest = self._newest_ns.get(camera)
        return newest is not None and stamp_ns < newest - self.policy.jump_back_ns

    def _insert(self, camera: str, frame: Stamped) -> bool:
        """Whether the frame is now in its buffer; if not, why not is counted."""
        buffer, counts = self._buffers[camera], self.camera_counts[camera]
        index = bisect_left(buffer, frame)
        if index < len(buffer) and buffer[index].stamp_ns == frame.stamp_ns:
            counts["duplicate"] += 1
            return False
        # Much older is not late: this camera's stamps went back, and the anchor's may follow.
        age_ns = 0 if self._last_out_ns is None else self._last_out_ns - frame.stamp_ns
        if self._last_out_ns is not None and self._keep_ns(camera) <= age_ns <= self.policy.jump_back_ns:
            counts["late"] += 1
            return False
        buffer.insert(index, frame)
        self._learn_period(camera, frame.stamp_ns)
        if len(buffer) > self.policy.depth:
            oldest = buffer.pop(0)
            if not oldest.is_used:
                counts["overflow"] += 1
        return True

    def _learn_period(self, camera: str, stamp_ns: int) -> None:
        newest = self._newest_ns.get(camera)
        if newest is not None and stamp_ns > newest:
            step = stamp_ns - newest
            # A lost frame doubles one step, so short steps count at once and long ones only slowly.
            known = self._period_ns.get(camera, step)
            self._period_ns[camera] = min(step, known + known // 8)
        self._newest_ns[camera] = max(stamp_ns, newest or stamp_ns)

    def _keep_ns(self, camera: str) -> int:
        """How long before the last output a frame may still be of use."""
        if camera == self.policy.anchor:
            return 0
        return max(self.policy.max_skew_ns, self.policy.max_reuse_age_ns if self.policy.missing == "reuse" else 0)

    def _current_anchor(self, now_ns: int) -> str:
        """The policy's, or while that is silent the first camera that is not."""
        candidates = (self.policy.anchor, *self.policy.cameras)
        return next((name for name in candidates if not self._silence.is_silent(name, now_ns)), self.policy.anchor)

    def _is_settled(self, stamp_ns: int, now_ns: int) -> bool:
        return all(
            self._cannot_improve(name, stamp_ns) or self._silence.is_silent(name, now_ns) for name in self._buffers
        )

    def _cannot_improve(self, camera: str, stamp_ns: int) -> bool:
        """Whether no frame still to come can be nearer to `stamp_ns` than those at hand."""
        newest = self._newest_ns.get(camera)
        if newest is None:
            return False
        if newest >= stamp_ns:
            return True
        expected_ns = newest + self._period_ns.get(camera, 0)
        return expected_ns > newest and expected_ns - stamp_ns >= stamp_ns - newest

    def _assemble(self, stamp_ns: int, anchor: str) -> FrameSet | None:
        if self._last_out_ns is not None and stamp_ns <= self._last_out_ns:
            self.camera_counts[anchor]["late"] += 1
            return None
        frames, states = {}, {}
        for name in self.policy.cameras:
            states[name], frame = self._choose(name, stamp_ns)
            self.camera_counts[name][states[name]] += 1
            if frame is not None:
                frames[name] = frame
        self._last_out_ns = stamp_ns
        reason = self._reason_to_drop(frames, anchor)
        if reason is None:
            for frame in frames.values():
                frame.is_used = True
        self._forget_before(stamp_ns)
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

    def _choose(self, camera: str, stamp_ns: int) -> tuple[str, Stamped | None]:
        buffer = self._buffers[camera]
        if not buffer:
            return MISSING, None
        nearest = min(buffer, key=lambda frame: abs(frame.stamp_ns - stamp_ns))
        if abs(nearest.stamp_ns - stamp_ns) <= self.policy.max_skew_ns:
            return OK, nearest
        if self.policy.missing == "reuse":
            past = [frame for frame in buffer if 0 <= stamp_ns - frame.stamp_ns <= self.policy.max_reuse_age_ns]
            if past:
                return REUSED, past[-1]
        return TOO_FAR, None

    def _forget_before(self, stamp_ns: int) -> None:
        for name, buffer in self._buffers.items():
            oldest_ns = stamp_ns - self._keep_ns(name)
            while buffer and buffer[0].stamp_ns <= oldest_ns:
                frame = buffer.pop(0)
                self.camera_counts[name]["unused"] += not frame.is_used
