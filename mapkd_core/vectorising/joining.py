# SPDX-License-Identifier: Apache-2.0
"""Branches -> lines: spurs go, what continues straight through a junction or over a gap becomes one line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.vectorising.tracing import Branch

_REACH = 8  # cells over which the direction of a branch end is taken
_STRAIGHT = np.cos(np.deg2rad(60))  # a line turns less than this at a junction
_PASSING = np.cos(np.deg2rad(35))  # a line that turns less passes a junction
_AIMED = np.cos(np.deg2rad(35))  # and less than this at either side of a gap
_TOUCHING = 3.0  # cells; ends so close are joined by their own directions, the gap between them has none
_RING = 30  # cells; a shorter line does not close on itself


@dataclass(frozen=True)
class Chain:
    """cells: N x 2 column row along the line, jumping over junctions and gaps."""

    cells: NDArray[np.int64]
    is_closed: bool


def join(branches: list[Branch], spur: float, bridge: float, max_gap: float) -> list[Chain]:
    """Lines of one mask.

    spur: cells; a branch from a junction to a free end that is shorter is an artefact of thinning.
    bridge: cells; a shorter branch between two junctions is the stretch that two crossing strokes have in common.
    max_gap: cells; free ends that point at each other over at most this distance are joined.
    """
    chains = [Chain(branch.cells, True) for branch in branches if branch.is_closed]
    open_branches = _without_spurs([branch for branch in branches if not branch.is_closed], spur)
    open_branches = _without_bridges(open_branches, bridge)
    links = _Links(open_branches)
    links.through_junctions()
    links.over_gaps(max_gap)
    return chains + links.chains()


def _without_spurs(branches: list[Branch], spur: float) -> list[Branch]:
    """Shortest first, and never so many that a junction is left with fewer than two branches."""
    at_junction = Counter(junction for branch in branches for junction in branch.junctions)
    kept = []
    for branch in sorted(branches, key=lambda b: len(b.cells)):
        start, end = branch.junctions
        junction = start or end
        dangles = junction and not (start and end)
        if dangles and len(branch.cells) < spur and at_junction[junction] >= 3:
            at_junction[junction] -= 1
        else:
            kept.append(branch)
    return kept


def _without_bridges(branches: list[Branch], bridge: float) -> list[Branch]:
    """The junctions at both ends of a bridge become one, where straight lines find each other again. A rung, between
    two lines that pass its ends straight on, goes: there the strokes of neighbours touch.
    """
    headings: dict[int, list[tuple[int, NDArray[np.float64]]]] = defaultdict(list)
    for b, branch in enumerate(branches):
        for junction, cells in zip(branch.junctions, (branch.cells, branch.cells[::-1]), strict=True):
            headings[junction].append((b, _outward(cells)))
    merged: dict[int, int] = {}

    def root(junction: int) -> int:
        while junction in merged:
            junction = merged[junction]
        return junction

    kept = []
    for b, branch in enumerate(branches):
        start, end = branch.junctions
        ends = [[h for other, h in headings[junction] if other != b] for junction in (start, end)]
        is_bridge = start and end and len(branch.cells) < bridge and min(len(ends[0]), len(ends[1])) >= 2
        if not is_bridge or root(start) == root(end):
            kept.append(branch)
        elif not all(_passes_straight(others) for others in ends):
            merged[root(start)] = root(end)
    return [replace(branch, junctions=(root(branch.junctions[0]), root(branch.junctions[1]))) for branch in kept]


def _passes_straight(headings: list[NDArray[np.float64]]) -> bool:
    return any(float(a @ b) < -_PASSING for a, b in combinations(headings, 2))


class _Links:
    """Which branch end continues in which. End 2b is the start of branch b, end 2b + 1 its end."""

    def __init__(self, branches: list[Branch]) -> None:
        self._branches = branches
        self._partner: dict[int, int] = {}
        self._junction = [junction for branch in branches for junction in branch.junctions]
        tips = [(branch.cells, branch.cells[::-1]) for branch in branches]
        self._position = np.array([side[0] for pair in tips for side in pair], float).reshape(-1, 2)
        self._outward = np.array([_outward(side) for pair in tips for side in pair]).reshape(-1, 2)

    def through_junctions(self) -> None:
        """Straightest pairs first; two branches that meet alone are one line whatever the angle."""
        meeting: dict[int, list[int]] = defaultdict(list)
        for end, junction in enumerate(self._junction):
            if junction:
                meeting[junction].append(end)
        for ends in meeting.values():
            turn = (self._outward[ends] @ self._outward[ends].T).round(9)  # ties are ties on every machine
            pairs = [(turn[i, j], ends[i], ends[j]) for i in range(len(ends)) for j in range(i)]
            for opposite, one, other in sorted(pairs):
                if opposite < -_STRAIGHT or len(ends) == 2:
                    self._link(one, other)

    def over_gaps(self, max_gap: float) -> None:
        """Nearest pairs first, of ends that point at each other."""
        free = [end for end in range(len(self._position)) if end not in self._partner]
        if len(free) < 2:
            return
        position, outward = self._position[free], self._outward[free]
        step = position[None] - position[:, None]
        distance = np.linalg.norm(step, axis=-1)
        aim = np.einsum("ijk,ik->ij", step, outward) / np.maximum(distance, 1e-9)
        facing = outward @ outward.T < -_AIMED
        joins = facing & ((distance <= _TOUCHING) | ((aim > _AIMED) & (aim.T > _AIMED))) & (distance <= max_gap)
        i, j = np.nonzero(np.triu(joins, 1))
        for k in np.argsort(distance[i, j], kind="stable"):
            self._link(free[i[k]], free[j[k]])

    def chains(self) -> list[Chain]:
        """Every branch once, in chains: those with free ends first, then the rings that are left."""
        seen: set[int] = set()
        starts = [end for end in range(len(self._position)) if end not in self._partner]
        chains = [self._follow(end, seen) for end in starts if end // 2 not in seen]
        return chains + [self._follow(2 * b, seen) for b in range(len(self._branches)) if b not in seen]

    def _link(self, one: int, other: int) -> None:
        """Unless one of them is taken, or a line too short for it would become a ring."""
        if one in self._partner or other in self._partner:
            return
        if one // 2 == other // 2 and len(self._branches[one // 2].cells) < _RING:
            return
        self._partner[one], self._partner[other] = other, one

    def _follow(self, end: int, seen: set[int]) -> Chain:
        first, parts = end, []
        while True:
            branch = end // 2
            seen.add(branch)
            cells = self._branches[branch].cells
            parts.append(cells if end % 2 == 0 else cells[::-1])
            following = self._partner.get(end ^ 1)
            if following is None or following // 2 in seen:
                return Chain(np.concatenate(parts), following == first)
            end = following


def _outward(cells: Iterable[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Unit vector that points out of the line at its first cell."""
    near = np.asarray(cells)[:_REACH]
    direction = (near[0] - near[-1]).astype(float)
    return direction / max(float(np.linalg.norm(direction)), 1e-9)
