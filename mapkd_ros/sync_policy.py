# SPDX-License-Identifier: Apache-2.0
"""What the synchroniser is asked to do. Plain Python, no ROS."""

from __future__ import annotations

from dataclasses import dataclass

MISSING_POLICIES = ("skip", "mask", "reuse")


@dataclass(frozen=True)
class SyncPolicy:
    """When frames belong together, how long to wait for them, and what to do without them.

    missing: skip = no output; mask = output without the camera; reuse = its last frame up to `max_reuse_age_ns` old.
    silent_ns: a camera silent for so long, while others speak, is not waited for; if it is the anchor, another camera
        stands in for it.
    jump_back_ns: stamps of the anchor that go back by more restart everything at once (a bag that loops), by less with
        the third frame (see `stamp_track`); those of another camera restart only that camera, or one with a bad clock
        would stop all.
    depth: frames that are kept of a camera, and anchor frames that may wait.
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
