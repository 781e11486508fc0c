# SPDX-License-Identifier: Apache-2.0
"""Joining against a slow reference: one pair at a time, the best of all that are left, with plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from rasters import skeleton

from mapkd_core.vectorising.joining import join
from mapkd_core.vectorising.tracing import trace

Cell: TypeAlias = tuple[int, int]
SPUR, BRIDGE, MAX_GAP = 8, 15, 16.7  # cells, as `vectorise` has them for strokes five cells wide and 2.5 m


class Piece(NamedTuple):
    cells: tuple[Cell, ...]
    start: int  # junction, 0 for a free end
    end: int


class Tip(NamedTuple):
    """An end of a piece. outward: unit vector that points out of the piece."""

    piece: int
    is_end: bool
    at: Cell
    outward: tuple[float, float]
    junction: int


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lines_are_those_of_the_slow_way(seed: int) -> None:
    branches = trace(skeleton(seed))
    pieces = [Piece(tuple(map(tuple, b.cells.tolist())), *b.junctions) for b in branches if not b.is_closed]
    rings = [tuple(map(tuple, b.cells.tolist())) for b in branches if b.is_closed]
    expected = [(cells, True) for cells in rings] + join_slowly(pieces)
    found = [(tuple(map(tuple, c.cells.tolist())), c.is_closed) for c in join(branches, SPUR, BRIDGE, MAX_GAP)]
    assert sorted(plain(*line) for line in found) == sorted(plain(*line) for line in expected)


def plain(cells: tuple[Cell, ...], is_closed: bool) -> tuple[bool, tuple[Cell, ...]]:
    """The same whichever way it is walked, and wherever a ring begins."""
    both = (cells, cells[::-1])
    if is_closed:
        both = tuple(way[way.index(min(way)) :] + way[: way.index(min(way))] for way in both)
    return is_closed, min(both)


def join_slowly(pieces: list[Piece]) -> list[tuple[tuple[Cell, ...], bool]]:
    pieces = without_bridges(without_spurs(pieces))
    tips = [
        Tip(number, is_end, cells[0], outward(cells), junction)
        for number, piece in enumerate(pieces)
        for is_end, cells, junction in ((False, piece.cells, piece.start), (True, piece.cells[::-1], piece.end))
    ]
    links: dict[int, int] = {}
    for junction in {tip.junction for tip in tips} - {0}:
        here = [n for n, tip in enumerate(tips) if tip.junction == junction]
        pairs = [
            (turn, one, other)
            for one in here
            for other in here
            if other < one
            and ((turn := cosine(tips[one], tips[other])) < math.cos(math.radians(120)) or len(here) == 2)
        ]
        link(pairs, tips, pieces, links)
    free = [n for n in range(len(tips)) if n not in links]
    gaps = [(math.dist(tips[a].at, tips[b].at), a, b) for a in free for b in free if a < b]
    link([gap for gap in gaps if closes(*gap, tips)], tips, pieces, links)
    return followed(pieces, links)


def without_spurs(pieces: list[Piece]) -> list[Piece]:
    """Shortest first: what dangles from a junction of three or more."""
    pieces = sorted(pieces, key=lambda piece: len(piece.cells))
    for piece in list(pieces):
        ends = [junction for other in pieces for junction in (other.start, other.end)]
        dangles = bool(piece.start) != bool(piece.end)
        if dangles and len(piece.cells) < SPUR and ends.count(piece.start or piece.end) >= 3:
            pieces = [other for other in pieces if other is not piece]
    return pieces


def without_bridges(pieces: list[Piece]) -> list[Piece]:
    """A short piece between two junctions goes. They become one unless a line passes each of them straight on."""
    name = {junction: junction for piece in pieces for junction in (piece.start, piece.end)}
    kept = []
    for piece in pieces:
        sides = [directions_at(junction, pieces, piece) for junction in (piece.start, piece.end)]
        is_bridge = piece.start and piece.end and len(piece.cells) < BRIDGE and min(map(len, sides)) >= 2
        if not is_bridge or name[piece.start] == name[piece.end]:
            kept.append(piece)
        elif not all(map(passes, sides)):
            old, new = name[piece.start], name[piece.end]
            name = {junction: new if now == old else now for junction, now in name.items()}
    return [Piece(piece.cells, name[piece.start], name[piece.end]) for piece in kept]


def directions_at(junction: int, pieces: list[Piece], but: Piece) -> list[tuple[float, float]]:
    others = [piece for piece in pieces if piece is not but]
    starts = [outward(piece.cells) for piece in others if piece.start == junction]
    return starts + [outward(piece.cells[::-1]) for piece in others if piece.end == junction]


def passes(directions: list[tuple[float, float]]) -> bool:
    apart = [a[0] * b[0] + a[1] * b[1] for n, a in enumerate(directions) for b in directions[:n]]
    return any(cosine < -math.cos(math.radians(35)) for cosine in apart)


def closes(distance: float, one: int, other: int, tips: list[Tip]) -> bool:
    """Whether two free ends look at each other over a gap that is not too wide."""
    a, b, aimed = tips[one], tips[other], math.cos(math.radians(35))
    if distance > MAX_GAP or cosine(a, b) >= -aimed:
        return False
    ahead = [(b.at[0] - a.at[0]) * a.outward[0] + (b.at[1] - a.at[1]) * a.outward[1]]
    ahead += [(a.at[0] - b.at[0]) * b.outward[0] + (a.at[1] - b.at[1]) * b.outward[1]]
    return distance <= 3 or min(ahead) > aimed * distance


def link(pairs: Sequence[tuple[float, int, int]], tips: list[Tip], pieces: list[Piece], links: dict[int, int]) -> None:
    """The least first; an end once; no ring of a short piece."""
    for _, one, other in sorted(pairs):
        same = tips[one].piece == tips[other].piece
        if one not in links and other not in links and not (same and len(pieces[tips[one].piece].cells) < 30):
            links[one], links[other] = other, one


def followed(pieces: list[Piece], links: dict[int, int]) -> list[tuple[tuple[Cell, ...], bool]]:
    """Tip 2 n is where piece n starts, 2 n + 1 where it ends."""
    lines, left = [], set(range(len(pieces)))
    for begin in [n for n in range(2 * len(pieces)) if n not in links] + list(range(0, 2 * len(pieces), 2)):
        cells: tuple[Cell, ...] = ()
        at, is_closed = begin, False
        while at // 2 in left:
            left.remove(at // 2)
            cells += pieces[at // 2].cells if at % 2 == 0 else pieces[at // 2].cells[::-1]
            far = at + 1 if at % 2 == 0 else at - 1
            is_closed = links.get(far) == begin
            at = links.get(far, at)
        if cells:
            lines.append((cells, is_closed))
    return lines


def cosine(one: Tip, other: Tip) -> float:
    """Of the angle between two tips: -1 where one goes on straight as the other."""
    return round(one.outward[0] * other.outward[0] + one.outward[1] * other.outward[1], 9)


def outward(cells: Sequence[Cell]) -> tuple[float, float]:
    first, inside = cells[0], cells[min(len(cells), 8) - 1]
    length = max(math.dist(first, inside), 1e-9)
    return (first[0] - inside[0]) / length, (first[1] - inside[1]) / length
