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


@dataclass(frozen=True)
class Section:
    """Cross-section in metres; `forward` lanes lie right of the split between the directions, `backward` left of it.

    median: width between the directions, a kerbed island where `kerbed`, else bare or painted asphalt.
    gutters: (left, right) from the outermost lane to the kerb. bike: width of a lane for bicycles on both sides, or 0.
    """

    forward: int
    backward: int
    lane_width: float
    median: float = 0.0
    kerbed: bool = False
    gutters: tuple[float, float] = (0.3, 0.3)
    bike: float = 0.0
    centre_line: bool = True
    lane_lines: bool = True

    @property
    def split(self) -> float:
        """d of the split; the axis of a one-way road runs along its middle."""
        return self.forward * self.lane_width / 2 if self.backward == 0 else 0.0

    @property
    def right(self) -> float:
        """d of the right kerb (negative)."""
        return self.split - self.median / 2 - self.forward * self.lane_width - self.bike - self.gutters[1]

    @property
    def left(self) -> float:
        """d of the left kerb (positive)."""
        bike = self.bike if self.backward else 0.0
        return self.split + self.median / 2 + self.backward * self.lane_width + bike + self.gutters[0]

    def lane_d(self, direction: int, lane: int) -> float:
        """d of the centre of a lane; direction +1 or -1, lane 0 is next to the split."""
        return self.split - direction * (self.median / 2 + (lane + 0.5) * self.lane_width)

    def lanes(self, direction: int) -> int:
        return self.forward if direction > 0 else self.backward


@dataclass(frozen=True)
class Bump:
    """A stretch where the kerb of one side (+1 left, -1 right) stands further out: parking, bus bay, turning lane.

    tapers: metres from nothing to the full width at its start and at its stop.
    line: the old edge carries a divider there. island: width of a kerbed strip along the old edge (frontage roads).
    use: "parking", "lot" (perpendicular parking), "bay", "pocket", "frontage".
    """

    side: int
    start: float
    stop: float
    tapers: tuple[float, float]
    width: float
    use: str
    line: bool = False
    island: float = 0.0

    def at(self, s: ArrayLike) -> NDArray[np.float64]:
        """Extra width at s, 0..width."""
        s = np.asarray(s, float)
        rise, fall = (s - self.start) / max(self.tapers[0], 0.05), (self.stop - s) / max(self.tapers[1], 0.05)
        return self.width * np.clip(np.minimum(rise, fall), 0.0, 1.0)


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
