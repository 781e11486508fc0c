# SPDX-License-Identifier: Apache-2.0
"""Which of several sources have fallen silent while others speak. No ROS."""

from __future__ import annotations

from collections.abc import Iterable


class SilenceWatch:
    """A source is silent when `limit_ns` have passed since it was last heard, counted in time in which others speak.

    When nothing at all arrives no single source is to blame: the process got no processor, or all are slow. So a gap
    between any two arrivals counts at most half of the limit, `limit_ns`, which may be changed.
    """

    def __init__(self, names: Iterable[str], limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._spoken_ns = 0  # without the uncounted part of the gaps, at the last arrival
        self._last_ns: int | None = None
        self._heard_ns = dict.fromkeys(names, 0)

    def hear(self, name: str, now_ns: int) -> None:
        """Something of this source arrived."""
        self._spoken_ns, self._last_ns = self._now(now_ns), now_ns
        self._heard_ns[name] = self._spoken_ns

    def is_silent(self, name: str, now_ns: int) -> bool:
        return self._now(now_ns) - self._heard_ns[name] > self.limit_ns

    def _now(self, now_ns: int) -> int:
        if self._last_ns is None:
            return 0
        # A clock that jumps back is a gap of unknown length: it counts nothing.
        return self._spoken_ns + min(max(now_ns - self._last_ns, 0), self.limit_ns // 2)
