# SPDX-License-Identifier: Apache-2.0
"""One made-up road: an axis with a cross-section, and the places where it meets others.

Everything drives on the right here; a map for left-hand traffic is mirrored as a whole at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from mapkd_core.worlds.procedural.curve import Curve
from mapkd_core.worlds.procedural.section import Bump, Section


@dataclass(eq=False)
class Meeting:
    """A junction as one of its roads sees it: `s` here, road `other` at `other_s`.

    sides: where the other road goes: +1 left, -1 right, or both. angle: between the axes, 0..pi/2.
    leads: each junction has one record that does, on the road that was there first. minor: a driveway.
    core: metres before and after s that the other road takes. clear: the same up to where lane markings begin.
    through: markings of the side where nothing joins run on. breaks: a driveway interrupts markings of its side.
    crossed: a pedestrian crossing before and after s.
    """

    s: float
    other: Road
    other_s: float
    sides: tuple[int, ...]
    angle: float
    leads: bool = False
    minor: bool = False
    radius: float = 0.0
    core: float = 0.0
    clear: list[float] = field(default_factory=lambda: [0.0, 0.0])
    through: bool = False
    breaks: bool = False
    crossed: list[bool] = field(default_factory=lambda: [False, False])


@dataclass(frozen=True, eq=False)
class Median:
    """A kerbed island between the directions: its edges lo..hi (d) at stations s."""

    s: NDArray[np.float64]
    lo: NDArray[np.float64]
    hi: NDArray[np.float64]


@dataclass(eq=False)
class Road:
    """level: 0 main, 1 and 2 streets, 3 driveways. lines: extra dividers (start, stop, d). midblock: crossings."""

    curve: Curve
    section: Section
    level: int
    bumps: list[Bump] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)
    medians: list[Median] = field(default_factory=list)
    lines: list[tuple[float, float, float]] = field(default_factory=list)
    midblock: list[tuple[float, float]] = field(default_factory=list)
    outline_start: float = 0.0  # where the asphalt of its own begins, inside the road that it leaves
    outline_stop: float = np.inf

    @property
    def length(self) -> float:
        return self.curve.length

    @cached_property
    def axis(self) -> shapely.LineString:
        """The axis, coarse enough for quick distances."""
        return shapely.LineString(self.curve.xy[::2])

    def kerb(self, side: int, s: ArrayLike) -> NDArray[np.float64]:
        """d of the kerb of one side at s."""
        s = np.asarray(s, float)
        base = self.section.left if side > 0 else self.section.right
        extra = np.max([np.zeros_like(s), *(b.at(s) for b in self.bumps if b.side == side)], axis=0)
        return base + side * extra

    def half_width(self) -> float:
        return max(self.section.left, -self.section.right)

    def inset(self, side: int) -> float:
        """Metres from the axis towards one side that are still well inside the road."""
        return 0.6 * abs(self.section.left if side > 0 else self.section.right)

    def free_ranges(self, start: float, stop: float, side: int = 0) -> list[tuple[float, float]]:
        """Parts of start..stop where markings may lie: on one side of the split, or (0) on it."""
        taken = [(m.s - m.clear[0], m.s + m.clear[1]) for m in self.meetings if self._interrupts(m, side)]
        taken += [(a - 1.0, b + 1.0) for a, b in self.midblock]
        return remaining(start, stop, taken)

    @staticmethod
    def _interrupts(meeting: Meeting, side: int) -> bool:
        if meeting.minor:
            return meeting.breaks and side in meeting.sides
        return not (meeting.through and side not in meeting.sides)


def remaining(
    start: float, stop: float, taken: list[tuple[float, float]], shortest: float = 3.0
) -> list[tuple[float, float]]:
    """The parts of start..stop outside all `taken` intervals, at least `shortest` long."""
    ranges, position = [], start
    for a, b in sorted(taken):
        ranges.append((position, min(a, stop)))
        position = max(position, b)
    ranges.append((position, stop))
    return [(a, b) for a, b in ranges if b - a >= shortest]
