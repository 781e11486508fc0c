# SPDX-License-Identifier: Apache-2.0
"""Looks at the pictures beside the making of maps: black, overexposed and frozen ones, swapped cameras, stale mounts.

In a thread of its own, on the newest frame after its map went out, at the rates of `watch.*`; frames that come
meanwhile are let go. Cost at the shipped rates: 4 % of one core (per look 1 ms for six reduced pictures, 5 ms
for whole ones of 1600x900, 70 to 100 ms for a comparison of mounts; thread time on the 2-core machine of the tests).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mapkd_core.geometry import Matrix, inverse
from mapkd_core.robustness.mount_watch import MountWatch
from mapkd_core.robustness.picture_watch import PictureWatch
from mapkd_core.types import Frame
from mapkd_ros.diagnostics import ERROR, WARN, Finding
from mapkd_ros.parameter_groups import WatchParameters
from mapkd_ros.worker import LatestWorker

_WORK_S, _REST, _LONGEST_S = 2e-3, 4.0, 0.02
_WIDTH = 400  # pixels of a picture's width that are looked at; every n-th column and row of a larger one
_PICTURES = {
    "black": Finding(WARN, "black", "its picture is black: uncover the lens, check exposure, cable and driver"),
    "overexposed": Finding(
        WARN, "overexposed", "half of its picture is white: check the exposure; the sun or a lamp in the lens passes"
    ),
    "frozen": Finding(
        ERROR, "frozen", "its picture stays the same while stamps and vehicle go on: restart the camera or its driver"
    ),
}


class Breath:
    """Called between parts of long work, in its own thread: it rests `_REST` times as long as that worked since.

    A comparison of mounts would else hold a core for 70 to 100 ms at once, as long as a frame takes.
    """

    def __init__(self) -> None:
        self._rested_at_s = math.inf  # of the thread's own time

    def __call__(self) -> None:
        now_s = time.thread_time()
        self._rested_at_s = min(self._rested_at_s, now_s)
        if now_s - self._rested_at_s >= _WORK_S:
            time.sleep(min(_REST * (now_s - self._rested_at_s), _LONGEST_S))
            self._rested_at_s = time.thread_time()


@dataclass
class _Seen:
    """What one stretch of stamps has told; a new one begins where they jump."""

    epoch: int
    pictures: dict[str, PictureWatch] = field(default_factory=dict)
    mounts: MountWatch = field(default_factory=lambda: MountWatch(pause=Breath()))
    odom_T_before: Matrix | None = None
    pictures_at_s: float = float("-inf")
    compared_at_s: float = float("-inf")


class CameraWatches:
    """`look` hands over a frame and returns at once; `findings` is what its cameras are told to have now.

    on_error: gets what a watch raised. looks: frames looked at. spent_s: processor time that they took.
    """

    def __init__(self, parameters: WatchParameters, on_error: Callable[[Exception], None]) -> None:
        self._parameters, self._seen = parameters, _Seen(epoch=-1)
        self._told: dict[str, dict[str, Finding]] = {"pictures": {}, "mounts": {}}
        self._forget = False
        self.looks, self.spent_s = 0, 0.0
        self._worker = LatestWorker(self._look, on_error, "watches")

    def look(self, frame: Frame, epoch: int) -> None:
        """Where `epoch` changes, what was seen before is forgotten."""
        if self._parameters.pictures or self._parameters.mounts:
            self._worker.submit((frame, epoch))

    def findings(self) -> dict[str, Finding]:
        """Camera -> the worst that is known of it: what its picture shows before what its mount does."""
        parameters, told = self._parameters, self._told
        pictures = told["pictures"] if parameters.pictures else {}
        mounts = told["mounts"] if parameters.mounts else {}
        return {**mounts, **pictures}

    def change(self, parameters: WatchParameters) -> None:
        """Other rates from the next frame on; a watch that is switched on again begins anew."""
        before, self._parameters = self._parameters, parameters
        if (before.pictures, before.mounts) != (parameters.pictures, parameters.mounts):
            self.forget()

    def forget(self) -> None:
        """Begin anew, as where a drive begins."""
        self._forget = True
        self._told = {"pictures": {}, "mounts": {}}

    def close(self) -> None:
        """End the thread; a look in hand is not waited for longer than a moment."""
        self._worker.close(timeout_s=0.2)

    def _look(self, job: tuple[Frame, int]) -> None:
        frame, epoch = job
        begin_s, cpu_s, parameters = time.monotonic(), time.thread_time(), self._parameters
        if self._forget or epoch != self._seen.epoch:
            self._forget, self._seen = False, _Seen(epoch)
            self._told = {"pictures": {}, "mounts": {}}
        seen = self._seen
        if parameters.pictures and begin_s - seen.pictures_at_s >= parameters.pictures_period_s:
            seen.pictures_at_s = begin_s
            self._told["pictures"] = _look_at_pictures(seen, frame)
        if parameters.mounts and begin_s - seen.compared_at_s >= parameters.mounts_period_s:
            self._told["mounts"] = _compare_mounts(seen, frame, begin_s)
        self.looks, self.spent_s = self.looks + 1, self.spent_s + time.thread_time() - cpu_s


def _look_at_pictures(seen: _Seen, frame: Frame) -> dict[str, Finding]:
    moved_m = None
    if frame.odom_T_ego is not None and seen.odom_T_before is not None:
        moved_m = float(np.linalg.norm((inverse(seen.odom_T_before) @ frame.odom_T_ego)[:3, 3]))
    seen.odom_T_before = frame.odom_T_ego
    found = {}
    for camera in frame.cameras:
        if (image := camera.pixels) is None:
            continue
        step = max(1, image.shape[1] // _WIDTH)
        watch = seen.pictures.setdefault(camera.name, PictureWatch())
        stamp_ns = frame.stamp_ns if camera.stamp_ns is None else camera.stamp_ns
        if fault := watch.look(image[::step, ::step], stamp_ns, moved_m):
            found[camera.name] = _PICTURES[fault]
    return found


def _compare_mounts(seen: _Seen, frame: Frame, now_s: float) -> dict[str, Finding]:
    if seen.mounts.look(frame):
        seen.compared_at_s = now_s
    swapped, faults = seen.mounts.swapped(), seen.mounts.faults()
    return {
        name: Finding(ERROR, "swapped", text) if name in swapped else Finding(WARN, "stale_calibration", text)
        for name, text in faults.items()
    }
