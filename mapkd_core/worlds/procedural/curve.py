# SPDX-License-Identifier: Apache-2.0
"""Road axes: smooth plane curves with positions along (s) and across (d, positive to the left), in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Stations = float | NDArray[np.float64]
_SMOOTH_STEP_M = 0.5


@dataclass(frozen=True, eq=False)
class Curve:
    """Samples of a curve: s rising from 0, xy (N x 2), heading unwrapped."""

    s: NDArray[np.float64]
    xy: NDArray[np.float64]
    heading: NDArray[np.float64]

    @property
    def length(self) -> float:
        return float(self.s[-1])

    def at(self, s: Stations, d: Stations = 0.0) -> NDArray[np.float64]:
        """Points (..., 2) at s along and d to the left."""
        heading = self.heading_at(s)
        x = np.interp(s, self.s, self.xy[:, 0]) - d * np.sin(heading)
        y = np.interp(s, self.s, self.xy[:, 1]) + d * np.cos(heading)
        return np.stack([x, y], -1)

    def heading_at(self, s: Stations) -> NDArray[np.float64]:
        return np.asarray(np.interp(s, self.s, self.heading))

    def stations(self, start: float, stop: float, step: float = 1.0) -> NDArray[np.float64]:
        """Values of s from start to stop, both included, at most `step` apart."""
        return np.linspace(start, stop, max(int(np.ceil(abs(stop - start) / step)), 1) + 1)

    def until(self, s: float) -> Curve:
        """The part from 0 to s."""
        keep = self.s < s - 1e-6
        return Curve(
            np.append(self.s[keep], s),
            np.vstack([self.xy[keep], self.at(s)]),
            np.append(self.heading[keep], self.heading_at(s)),
        )


def from_curvature(start: ArrayLike, heading: float, curvature: NDArray[np.float64], step: float = 1.0) -> Curve:
    """The curve that leaves `start` with `heading` and turns by curvature[i] (1/m) over the i-th step."""
    headings = heading + np.concatenate([[0.0], np.cumsum(curvature) * step])
    middle = (headings[:-1] + headings[1:]) / 2
    steps = step * np.stack([np.cos(middle), np.sin(middle)], 1)
    xy = np.asarray(start, float) + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])
    return Curve(step * np.arange(len(headings), dtype=np.float64), xy, headings)


def joined(backward: Curve, forward: Curve) -> tuple[Curve, float]:
    """One curve from the far end of `backward`, through the common start, along `forward`; and s at that start.

    `backward` leaves the common start in the opposite direction.
    """
    heading = np.concatenate([backward.heading[::-1] - np.pi, forward.heading[1:]])
    xy = np.concatenate([backward.xy[::-1], forward.xy[1:]])
    s = np.concatenate([backward.length - backward.s[::-1], backward.length + forward.s[1:]])
    return Curve(s, xy, np.unwrap(heading)), backward.length


def random_curvature(
    rng: np.random.Generator, length: float, straight: float, min_radius: float, bend: float
) -> NDArray[np.float64]:
    """Curvature per metre: straights and arcs in turn, blended over 8 m.

    straight: share of straight pieces, 0..1. bend: chance that an arc is a tight corner of 50-100 degrees.
    """
    pieces: list[NDArray[np.float64]] = []
    while sum(map(len, pieces)) < length:
        if rng.random() < straight:
            pieces.append(np.zeros(int(rng.uniform(20, 120))))
            continue
        if rng.random() < bend:
            radius, angle = min_radius * rng.uniform(1, 1.6), np.deg2rad(rng.uniform(50, 100))
        else:
            radius = min_radius * np.exp(rng.uniform(0.7, 3.2))
            angle = min(rng.uniform(15, 70) / radius, 1.2)
        pieces.append(np.full(max(int(angle * radius), 4), rng.choice([-1, 1]) / radius))
    profile = np.concatenate(pieces)[: int(np.ceil(length))]
    return np.convolve(np.pad(profile, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")


def extended(curve: Curve, by: float) -> Curve:
    """The curve with a straight end."""
    ahead = direction(curve.heading[-1])
    steps = np.linspace(0, by, max(int(by), 1) + 1)[1:]
    return Curve(
        np.concatenate([curve.s, curve.length + steps]),
        np.vstack([curve.xy, curve.xy[-1] + np.outer(steps, ahead)]),
        np.concatenate([curve.heading, np.full(len(steps), curve.heading[-1])]),
    )


def smoothed(xy: NDArray[np.float64]) -> Curve | None:
    """Points -> curve with _SMOOTH_STEP_M spacing, corners blended over about 3 m; None where there is none."""
    if len(xy) < 3:
        return None
    steps = np.hypot(*np.diff(xy, axis=0).T)
    keep = np.concatenate([[True], steps > 1e-3])
    xy, steps = xy[keep], steps[steps > 1e-3]
    s = np.concatenate([[0.0], np.cumsum(steps)])
    if s[-1] < 10:
        return None
    grid = np.arange(0, s[-1], _SMOOTH_STEP_M)
    fine = np.stack([np.interp(grid, s, xy[:, i]) for i in (0, 1)], 1)
    padded = np.pad(fine, ((3, 3), (0, 0)), mode="reflect", reflect_type="odd")
    fine = np.stack([np.convolve(padded[:, i], np.full(7, 1 / 7), mode="valid") for i in (0, 1)], 1)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(fine, axis=0).T))])
    tangent = np.gradient(fine, along, axis=0)
    return Curve(along, fine, np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0])))


def direction(heading: float) -> NDArray[np.float64]:
    """Unit vector of a heading."""
    return np.array([np.cos(heading), np.sin(heading)])


def acute(angle: float) -> float:
    """The angle between two lines whose headings differ by `angle`: 0..pi/2."""
    return float(np.arcsin(min(abs(np.sin(angle)), 1.0)))
