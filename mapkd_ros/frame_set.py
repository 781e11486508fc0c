# SPDX-License-Identifier: Apache-2.0
"""Frames of several cameras that belong together. Plain Python, no ROS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OK, MISSING, TOO_FAR, REUSED = "ok", "missing", "too_far", "reused"


@dataclass(order=True)
class Stamped:
    """One camera frame; the payload is opaque here.

    is_used: it left in a set. refused: the reason why it was not taken, under which it is counted.
    """

    stamp_ns: int
    payload: Any = field(compare=False)
    is_used: bool = field(default=False, compare=False)
    refused: str = field(default="", compare=False)


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
