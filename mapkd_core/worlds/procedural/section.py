# SPDX-License-Identifier: Apache-2.0
"""Cross-sections of made-up roads: lanes, medians, gutters, and stretches where the kerb stands further out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.worlds.procedural.style import Style


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


def main_section(style: Style, rng: np.random.Generator, forward: int, backward: int) -> Section:
    """Of the road that the district is laid out along."""
    divided = backward > 0 and (style.kerbed_median or rng.random() < 0.15)
    return Section(
        forward,
        backward,
        style.lane_width,
        median=style.median_width if divided else 0.0,
        kerbed=style.kerbed_median and divided,
        gutters=_gutters(rng),
        bike=float(rng.uniform(1.2, 2.0)) if rng.random() < 0.2 else 0.0,
        centre_line=forward + backward > 1 and rng.random() < (0.97 if forward + backward > 2 else 0.8),
        lane_lines=rng.random() < 0.97,
    )


def street_section(style: Style, rng: np.random.Generator) -> Section:
    """Of a road that leaves another one."""
    lanes = [(1, 1), (1, 0), (2, 1), (2, 2), (2, 0), (3, 3)]
    shares = [0.5, 0.12, 0.1, 0.16, 0.07, 0.05]
    if style.district in ("residential", "campus"):
        shares = [0.72, 0.2, 0.04, 0.02, 0.02, 0.0]
    forward, backward = lanes[rng.choice(len(lanes), p=shares)]
    divided = min(forward, backward) >= 2 and rng.random() < 0.5
    unmarked = forward + backward <= 2 and rng.random() < style.unmarked_chance
    return Section(
        forward,
        backward,
        float(np.clip(style.lane_width + rng.normal(0, 0.25), 2.6, 4.2)),
        median=float(rng.uniform(0.8, 3.5)) if divided else 0.0,
        kerbed=divided and rng.random() < 0.8,
        gutters=_gutters(rng),
        centre_line=not unmarked,
        lane_lines=not unmarked,
    )


def _gutters(rng: np.random.Generator) -> tuple[float, float]:
    return (float(rng.exponential(0.5)), float(rng.exponential(0.5))) if rng.random() < 0.6 else (0.25, 0.25)
