# SPDX-License-Identifier: Apache-2.0
"""A LiDAR for teachers: the turns of the last moments, joined into one cloud at a frame's stamp."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import apply
from mapkd_core.worlds.lidar.join import Sweep, join_sweeps
from mapkd_ros.conversions import cloud_array, stamp_ns
from mapkd_ros.diagnostics import OK, WARN, GrowthMeter, Level, RateMeter
from mapkd_ros.pose_track import PoseAt, PoseUnavailableError
from mapkd_ros.transforms import TransformBuffer

# The first name that a cloud has; drivers do not agree on it.
INTENSITIES = ("intensity", "reflectivity", "i")
# A turn stamped at its begin may be a little ahead of the picture that it belongs to.
_AHEAD_NS = 50_000_000
_KEPT = 20


@dataclass
class _Turn:
    """points: P x 6 in the base frame at stamp_ns, once somebody asked for them; fault: why there are none."""

    stamp_ns: int
    message: Any
    points: NDArray[np.float32] | None = None
    fault: str = ""


class LidarInput:
    """Takes PointCloud2 of any layout in the executor; converts and joins them in the worker.

    turns: how many are joined, the newest first. max_age_ns: of the newest, at a frame's stamp; an older one is no
    help, and the network does without. counts: received, rejected, joined, late.
    """

    def __init__(self, transforms: TransformBuffer, base_frame: str, turns: int, max_age_ns: int) -> None:
        self._transforms, self._base_frame = transforms, base_frame
        self.turns, self.max_age_ns = turns, max_age_ns
        self._kept: deque[_Turn] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._rate = RateMeter()
        self._fault = "no point cloud yet"
        self._refusal, self._refused = "", GrowthMeter()
        self._last_joined = 0
        self.counts: Counter[str] = Counter()
        self.last_arrival_s: float | None = None

    def add(self, message: Any) -> None:
        with self._lock:
            self.counts["received"] += 1
            self.last_arrival_s = time.monotonic()
            self._kept.append(_Turn(stamp_ns(message.header.stamp), message))

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def points_at(self, at_ns: int, pose_at: PoseAt) -> NDArray[np.float32] | None:
        """P x 6 as Frame.points; None where no turn is at hand, and `state` says why.

        Without poses there is no motion between turns to undo: the newest turn alone is given, where it was taken.
        """
        with self._lock:
            turns = sorted((t for t in self._kept if t.stamp_ns <= at_ns + _AHEAD_NS), key=lambda t: -t.stamp_ns)
        turns = turns[: self.turns]
        for turn in turns:
            self._convert(turn)
        chosen = [turn for turn in turns if turn.points is not None]
        if not chosen or at_ns - chosen[0].stamp_ns > self.max_age_ns:
            self._miss(at_ns, turns)
            return None
        now = pose_at(at_ns)
        placed = [(t, p) for t in chosen if now is not None and (p := pose_at(t.stamp_ns)) is not None]
        if not placed:
            now = np.eye(4)
            placed = [(chosen[0], now)]
        self._last_joined, self._fault = len(placed), ""
        self.counts["joined"] += 1
        sweeps = [Sweep(t.points, pose, (t.stamp_ns - at_ns) / 1e9) for t, pose in placed if t.points is not None]
        return join_sweeps(sweeps, now, 0.0)

    def state(self) -> tuple[Level, str, dict[str, Any]]:
        """Level, message and values for /diagnostics; once per report: it compares with the counts of the last one."""
        age_s = -1.0 if self.last_arrival_s is None else time.monotonic() - self.last_arrival_s
        values = {"rate_hz": self._rate.read(self.counts["received"]), "age_s": age_s, "turns": self._last_joined}
        values |= {key: self.counts[key] for key in ("received", "rejected", "joined", "late")}
        refused = self._refused.read({"rejected": self.counts["rejected"]}).get("rejected", 0)
        fault = self._fault or (f"{refused} refused: {self._refusal}" if refused else "")
        return (WARN if fault else OK), fault or f"active, {self._last_joined} turns joined", values

    def _miss(self, at_ns: int, turns: list[_Turn]) -> None:
        if self.counts["received"] == 0:
            return
        self.counts["late"] += 1
        gap = f"the newest is {(at_ns - turns[0].stamp_ns) / 1e6:.0f} ms older" if turns else "there is none"
        late = f"no point cloud for the newest picture ({gap})"
        self._fault = f"{next((turn.fault for turn in turns if turn.fault), late)}; maps are made without"

    def _convert(self, turn: _Turn) -> None:
        """Give the turn its points, or the reason why it has none."""
        message = turn.message
        if message is None:
            return
        try:
            present = {item.name for item in message.fields}
            intensity = next((name for name in INTENSITIES if name in present), INTENSITIES[0])
            rows = cloud_array(message, ("x", "y", "z", intensity))
            base_T_lidar = self._transforms.lookup_or_latest(self._base_frame, message.header.frame_id, turn.stamp_ns)
        except PoseUnavailableError as error:  # its transform may still come
            turn.fault = f"point cloud not used: {error}"
            return
        except ValueError as error:
            self.counts["rejected"] += 1
            turn.fault, turn.message = f"point cloud not used: {error}", None
            self._refusal = turn.fault
            return
        points = np.zeros((len(rows), 6), np.float32)
        points[:, :3], points[:, 3] = apply(base_T_lidar, rows[:, :3]), rows[:, 3]
        turn.points, turn.message, turn.fault = points, None, ""
