# SPDX-License-Identifier: Apache-2.0
"""Tracing against a slow reference on sets of cells, on random skeletons."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple, TypeAlias

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rasters import skeleton

from mapkd_core.vectorising.tracing import trace

Cell: TypeAlias = tuple[int, int]  # column row
AROUND = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))  # clockwise from the one above
ORDER = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # of a walk: sides before diagonals


class Traced(NamedTuple):
    """touching: the junctions within a cell of its start and of its end."""

    cells: list[Cell]
    is_closed: bool
    touching: tuple[set[int], set[int]] = (set(), set())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_branches_are_those_of_the_slow_way(seed: int) -> None:
    thinned = skeleton(seed)
    found, expected = trace(thinned), trace_slowly(thinned)
    assert [list(map(tuple, branch.cells.tolist())) for branch in found] == [branch.cells for branch in expected]
    assert [branch.is_closed for branch in found] == [branch.is_closed for branch in expected]
    meant: dict[int, set[int]] = {}  # number of a junction -> which of the reference's it can be
    for branch, slow in zip(found, expected):
        start, end = slow.touching
        if not branch.junctions[1] and start & end and len(slow.cells) < 4:
            end = set()  # a stub: both its ends touch the junction that it sticks out of
        for label, touching in zip(branch.junctions, (start, end)):
            assert (label > 0) == bool(touching)
            meant[label] = meant.get(label, touching) & touching
    known = [possible for label, possible in meant.items() if label]
    assert all(known) and len(set(map(frozenset, known))) == len(known), "one number, one junction"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_cell_away_from_junctions_is_in_one_branch_and_neighbours_follow_each_other(seed: int) -> None:
    thinned = skeleton(seed)
    branches = [branch.cells for branch in trace(thinned)]
    drawn = [tuple(cell) for cells in branches for cell in cells.tolist()]
    assert len(drawn) == len(set(drawn)) and set(drawn) == cells_of(thinned) - near(junction_cells(cells_of(thinned)))
    assert all(np.abs(np.diff(cells, axis=0)).max(initial=1) == 1 for cells in branches)


def trace_slowly(thinned: np.ndarray) -> list[Traced]:
    cells = cells_of(thinned)
    zones = pieces(near(junction_cells(cells)) & every_cell(thinned))
    left = cells - set().union(*zones)
    ends = [cell for cell in in_rows(left) if len(neighbours(cell, left)) <= 1]
    branches = []
    for start in ends:
        if start in left:
            path = walk(start, left)
            touching = [{n for n, zone in enumerate(zones) if near({tip}) & zone} for tip in (path[0], path[-1])]
            branches.append(Traced(path, False, (touching[0], touching[1])))
    while left:
        path = walk(in_rows(left)[0], left)
        branches.append(Traced(path, len(path) > 2 and path[0] in near({path[-1]})))
    return branches


def walk(start: Cell, left: set[Cell]) -> list[Cell]:
    """As far as it goes; what is walked on is taken out of `left`."""
    path = [start]
    left.remove(start)
    while ahead := neighbours(path[-1], left):
        path.append(ahead[0])
        left.remove(ahead[0])
    return path


def junction_cells(cells: Set[Cell]) -> set[Cell]:
    """Where three or more runs of cells meet, and solid squares of four."""
    forks = {cell for cell in cells if runs_around(cell, cells) >= 3}
    squares = [{(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)} for x, y in cells]
    return forks.union(*(square for square in squares if square <= cells))


def runs_around(cell: Cell, cells: Set[Cell]) -> int:
    ring = [(cell[0] + dx, cell[1] + dy) in cells for dx, dy in AROUND]
    return sum(ring[i] and not ring[i - 1] for i in range(8))


def neighbours(cell: Cell, cells: Set[Cell]) -> list[Cell]:
    return [(cell[0] + dx, cell[1] + dy) for dx, dy in ORDER if (cell[0] + dx, cell[1] + dy) in cells]


def near(cells: Set[Cell]) -> set[Cell]:
    """The cells and all around them."""
    return {(x + dx, y + dy) for x, y in cells for dx, dy in (*AROUND, (0, 0))}


def pieces(cells: Set[Cell]) -> list[set[Cell]]:
    """Cells that hang together, by corners too."""
    found: list[set[Cell]] = []
    for cell in sorted(cells):
        touching = [piece for piece in found if near({cell}) & piece]
        found = [piece for piece in found if piece not in touching] + [{cell}.union(*touching)]
    return found


def cells_of(thinned: np.ndarray) -> set[Cell]:
    return {(int(x), int(y)) for y, x in zip(*np.nonzero(thinned))}


def every_cell(thinned: np.ndarray) -> set[Cell]:
    return cells_of(np.ones_like(thinned))


def in_rows(cells: Set[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell[1], cell[0]))
