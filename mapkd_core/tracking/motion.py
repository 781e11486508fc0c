# SPDX-License-Identifier: Apache-2.0
"""Whether a pose can follow the one before it: a vehicle neither leaps nor drives back in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SLACK_M, _SPEED_M_S, _ACCELERATION_M_S2 = 1.0, 60.0, 10.0
_SLACK_RAD, _TURN_RAD_S = 0.2, 2.0


class MotionWatch:
    """Knows the last two poses."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._stamp_ns: int | None = None
        self._pose = np.eye(4)
        self._velocity: NDArray[np.float64] | None = None  # m/s in the odometry frame

    def jump(self, stamp_ns: int, odom_T_ego: NDArray[np.float64]) -> str:
        """Why this pose cannot follow the last one: "time jump", "odometry jump" or ""."""
        if self._stamp_ns is None:
            return ""
        if stamp_ns < self._stamp_ns:
            return "time jump"
        seconds = (stamp_ns - self._stamp_ns) / 1e9
        moved = odom_T_ego[:2, 3] - self._pose[:2, 3]
        if self._velocity is None:
            excess = np.hypot(*moved) - _SPEED_M_S * seconds
        else:
            excess = np.hypot(*(moved - self._velocity * seconds)) - _ACCELERATION_M_S2 * seconds**2
        turned = self._pose[:2, :2].T @ odom_T_ego[:2, :2]
        angle = abs(np.arctan2(turned[1, 0], turned[0, 0]))
        return "odometry jump" if excess > _SLACK_M or angle > _SLACK_RAD + _TURN_RAD_S * seconds else ""

    def step(self, stamp_ns: int, odom_T_ego: NDArray[np.float64]) -> float:
        """Take the pose; metres from the last one, 0 for the first."""
        moved = odom_T_ego[:2, 3] - self._pose[:2, 3] if self._stamp_ns is not None else np.zeros(2)
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if seconds > 0:
            self._velocity = moved / seconds
        self._stamp_ns, self._pose = stamp_ns, odom_T_ego.copy()
        return float(np.hypot(*moved))
