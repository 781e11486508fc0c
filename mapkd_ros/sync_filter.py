# SPDX-License-Identifier: Apache-2.0
"""The camera synchroniser in the form of message_filters' filters.

images = {"CAM_FRONT": message_filters.Subscriber(node, Image, "front/image"), ...}
sets = CameraSyncFilter(images, SyncPolicy(tuple(images), "CAM_FRONT"))
sets.registerCallback(on_set)              # on_set(frame_set: FrameSet)
node.create_timer(0.01, sets.poll)         # lets the wait limit pass when nothing arrives
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from message_filters import SimpleFilter

from mapkd_ros.frame_set import FrameSet
from mapkd_ros.sync_policy import SyncPolicy
from mapkd_ros.synchroniser import CameraSynchroniser


class CameraSyncFilter(SimpleFilter):
    """Takes stamped messages from one filter per camera, signals a `FrameSet` of them.

    The lock is never held while callbacks run, so a callback may raise or call back without blocking the input.
    now_ns: monotonic nanoseconds for the wait limit; a node on simulated time passes its own clock.
    """

    def __init__(
        self, filters: Mapping[str, Any], policy: SyncPolicy, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__()
        if set(filters) != set(policy.cameras):
            raise ValueError(f"filters for {', '.join(filters)}, but the policy names {', '.join(policy.cameras)}")
        self.synchroniser = CameraSynchroniser(policy)
        self._now_ns = now_ns
        self._lock = threading.Lock()
        for camera, source in filters.items():
            source.registerCallback(self.add, camera)

    def add(self, message: Any, camera: str) -> None:
        """Take one message with a header; one with stamp 0 cannot be placed in time and is counted as unstamped."""
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        with self._lock:
            if stamp_ns == 0:
                self.synchroniser.camera_counts[camera]["unstamped"] += 1
                return
            ready = self.synchroniser.add(camera, stamp_ns, message, self._now_ns())
        self._signal(ready)

    def poll(self) -> None:
        """Signal the sets whose wait limit has passed; call it from a timer."""
        with self._lock:
            ready = self.synchroniser.poll(self._now_ns())
        self._signal(ready)

    def change(self, policy: SyncPolicy) -> None:
        """Another policy of the same cameras, between two sets; ValueError for other cameras."""
        with self._lock:
            self.synchroniser.change(policy)

    def reset(self) -> None:
        """Forget all frames, as after a jump back in time."""
        with self._lock:
            self.synchroniser.reset()

    def _signal(self, ready: list[FrameSet]) -> None:
        for frame_set in ready:
            self.signalMessage(frame_set)
