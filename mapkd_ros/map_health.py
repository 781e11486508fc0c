# SPDX-License-Identifier: Apache-2.0
"""The map node's health: cameras, drops by reason, stage times, and a watchdog on the output."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from mapkd_ros.camera_input import CameraInput
from mapkd_ros.diagnostics import (
    ERROR,
    OK,
    WARN,
    CameraHealth,
    Finding,
    GrowthMeter,
    Level,
    RateMeter,
    ThrottledLog,
    status,
)
from mapkd_ros.frame_set import FrameSet
from mapkd_ros.map_messages import REJECTED
from mapkd_ros.parameter_groups import DiagnosticsParameters
from mapkd_ros.sync_filter import CameraSyncFilter
from mapkd_ros.worker import LatestWorker

# Counts of the node and of the synchroniser that mean a set of images without a map.
_LOSSES = (
    "failed",
    "out_of_memory",
    "camera_rejected",
    "no_usable_camera",
    "dropped_busy",
    "incomplete",
    "too_few_cameras",
    "anchor_overflow",
)
# Simulated clocks tick coarsely; a stamp further ahead of the node's clock than this comes from another clock.
_AHEAD_MS = 1000.0
_STILL_S = 2.0


class MapHealth:
    """Told by the worker what happened to each set; asked by a timer for the DiagnosticArray. Thread-safe."""

    def __init__(self, node: Node, inputs: Mapping[str, CameraInput], parameters: DiagnosticsParameters) -> None:
        self._node, self._inputs, self._parameters = node, inputs, parameters
        self._cameras = {name: CameraHealth(name, parameters.max_image_age_s) for name in inputs}
        self._lock = threading.Lock()
        self._log = ThrottledLog(node.get_logger())
        self._rate, self._losses = RateMeter(), GrowthMeter()
        self._failure = ""
        self._clock_ns, self._ticked_s = -1, time.monotonic()
        self._start_s = time.monotonic()
        self._last_output_s: float | None = None
        self._stall_s = 0.0  # the longest since the last report
        self._times_ms: dict[str, float] = {}
        self._latency_ms = 0.0
        self.counts: Counter[str] = Counter(
            published=0, camera_rejected=0, no_usable_camera=0, failed=0, out_of_memory=0, without_ego_motion=0
        )

    def change(self, parameters: DiagnosticsParameters) -> None:
        """Other limits from the next report on."""
        with self._lock:
            self._parameters = parameters
            for camera in self._cameras.values():
                camera.max_age_s = parameters.max_image_age_s

    def cameras(
        self, frame_set: FrameSet, rejected: Mapping[str, str], doubts: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Note how each camera of a set fared; returns the final state of each camera."""
        with self._lock:
            for name, stamped in frame_set.frames.items():
                if name in rejected:
                    self._cameras[name].reject(rejected[name])
                    self._log.warning(name, f"{name} not used: {rejected[name]}")
                else:
                    self._cameras[name].used(
                        (stamped.stamp_ns - frame_set.stamp_ns) / 1e6, (doubts or {}).get(name, "")
                    )
            for name in frame_set.states.keys() - frame_set.frames.keys():
                self._cameras[name].missed += 1
        return {name: REJECTED if name in rejected else state for name, state in frame_set.states.items()}

    def published(self, times_ms: Mapping[str, float], latency_ms: float, has_ego_motion: bool) -> None:
        """A map went out. latency_ms: the node's clock minus the capture time, negative for a stamp in the future."""
        with self._lock:
            self.counts["published"] += 1
            self.counts["without_ego_motion"] += not has_ego_motion
            self._times_ms, self._latency_ms = dict(times_ms), latency_ms
            self._last_output_s, self._failure = time.monotonic(), ""

    def dropped(self, reason: str, message: str) -> None:
        """A set gave no output, or something was refused: counted; a message is logged, at most once in a while."""
        with self._lock:
            self.counts[reason] += 1
            if reason in _LOSSES:
                self._failure = message
            if message:
                self._log.error(reason, message)

    def stalled(self, seconds: float) -> None:
        """The executor did not turn for so long."""
        with self._lock:
            self.counts["executor_stalled"] += 1
            self._stall_s = max(self._stall_s, seconds)

    def report(
        self, sets: CameraSyncFilter, worker: LatestWorker, findings: Mapping[str, Finding] = MappingProxyType({})
    ) -> DiagnosticArray:
        """All statuses, output first. findings: camera -> what a look at its pictures has shown."""
        synchroniser = sets.synchroniser
        with self._lock:
            for name, camera in self._cameras.items():
                camera.finding = findings.get(name)
            states = {name: self._state(name, synchroniser.camera_counts) for name in self._inputs}
            result = [self._output(synchroniser.counts, worker, states)]
            for name, health in self._cameras.items():
                counts = Counter(synchroniser.camera_counts[name])
                result.append(health.report(self._node.get_name(), self._inputs[name], states[name], counts))
        array = DiagnosticArray(status=result)
        array.header.stamp = self._node.get_clock().now().to_msg()
        return array

    def summary(self, sets: CameraSyncFilter, worker: LatestWorker) -> str:
        """For the log at the end: every set is in one of these counts."""
        synchroniser = sets.synchroniser
        totals = {**self.counts, "dropped_busy": worker.replaced, **synchroniser.counts}
        cameras = {name: dict(+counts) for name, counts in synchroniser.camera_counts.items()}
        return f"{ {reason: count for reason, count in totals.items() if count} }; cameras: {cameras}"

    def _state(self, name: str, sync: Mapping[str, Mapping[str, int]]) -> tuple[Level, str, str]:
        source = self._inputs[name]
        # The graph knows topics by the names that remapping gave them.
        publishers = sum(self._node.count_publishers(self._node.resolve_topic_name(topic)) for topic in source.topics)
        state = self._cameras[name].state(source, publishers, sync.get(name, {}))
        if state[0] != OK and time.monotonic() - self._start_s > 3.0:
            self._log.warning(f"{name} {state[1]}", f"{name} is {state[1]}: {state[2]}")
        return state

    def _clock_still_s(self) -> float:
        """How long the node's clock has not moved, as simulated time without /clock."""
        clock_ns, now_s = self._node.get_clock().now().nanoseconds, time.monotonic()
        if clock_ns != self._clock_ns:
            self._clock_ns, self._ticked_s = clock_ns, now_s
        return now_s - self._ticked_s

    def _output(self, sync: Counter[str], worker: LatestWorker, states: Mapping[str, Any]) -> DiagnosticStatus:
        limits, now_s = self._parameters, time.monotonic()
        age_s = now_s - (self._last_output_s or self._start_s)
        busy_s = 0.0 if worker.busy_since is None else now_s - worker.busy_since
        still_s = self._clock_still_s()
        totals = {**sync, **self.counts, "dropped_busy": worker.replaced}
        lost = self._losses.read({reason: totals.get(reason, 0) for reason in _LOSSES})
        stall_s, self._stall_s = self._stall_s, 0.0
        inactive = [name for name, (level, _, _) in states.items() if level != OK]
        level, message = OK, "publishing"
        if stall_s:
            level, message = WARN, f"nothing was received for {stall_s:.1f} s: images of then may be lost, uncounted"
        if lost:
            level, message = WARN, f"no map for {', '.join(f'{n} {reason}' for reason, n in lost.items())}"
        if inactive:
            level, message = WARN, f"cameras not active: {', '.join(inactive)}"
        if self._last_output_s and self._latency_ms > limits.warn_latency_ms:
            level, message = WARN, f"latency {self._latency_ms:.0f} ms"
        if self._last_output_s and self._latency_ms < -_AHEAD_MS:
            level, message = WARN, f"stamps are {-self._latency_ms / 1e3:.1f} s ahead of this node's clock"
        still = f"/clock stands still for {still_s:.1f} s, and use_sim_time is true" if still_s > _STILL_S else ""
        if still:
            level, message = WARN, still
        if age_s > limits.warn_output_age_s:
            level, message = WARN, f"no map for {age_s:.1f} s" + (f": {still}" if still else "")
        if age_s > limits.error_output_age_s:
            why = self._failure or (f"see {', '.join(inactive)}" if inactive else "no set of images came together")
            why = still or why
            why = f"inference busy for {busy_s:.1f} s" if busy_s > limits.error_output_age_s else why
            level, message = ERROR, f"no map for {age_s:.1f} s: {why}"
        values: dict[str, Any] = {"rate_hz": self._rate.read(self.counts["published"]), "output_age_s": age_s}
        values |= {
            "latency_ms": max(0.0, self._latency_ms),
            "busy_s": busy_s,
            "dropped_busy": worker.replaced,
            **self.counts,
        }
        values |= {f"sync_{reason}": count for reason, count in sorted(sync.items())}
        values |= {f"{stage}_ms": float(time_ms) for stage, time_ms in self._times_ms.items()}
        return status(f"{self._node.get_name()}: output", level, message, values)
