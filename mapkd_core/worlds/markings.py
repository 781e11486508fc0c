# SPDX-License-Identifier: Apache-2.0
"""Road paint as polygons: the map's dividers and crossings, and markings that the map does not list (distractors)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.worlds import polylines, symbols
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.road_map import RoadMap

WHITE, YELLOW, BRICK, DARK, SCAR = range(5)
SHINING = (WHITE, YELLOW)  # glass beads send a LiDAR's light back; tar, brick and scars do not


@dataclass(frozen=True)
class Paint:
    """One painted patch: outline V x 2 metres in the map frame, colour index, strength 0..1 (1 covers fully)."""

    outline_m: NDArray[np.float64]
    colour: int
    strength: float


def road_paint(road_map: RoadMap, area: shapely.MultiPolygon, look: Look, rng: np.random.Generator) -> list[Paint]:
    """All paint of one world, in the order in which it is to be applied."""
    flow = _Flow(road_map)
    paints: list[Paint] = []
    for ring in road_map.crossings:
        paints += _crossing(ring, look, rng)
    if look.edge_line != "none":
        paints += _edge_lines(area, look, rng)
    for line in road_map.dividers:
        if len(line) > 1:
            paints += _divider(line, flow.separates_directions(line), look, rng)
    for outline in symbols.road_symbols(road_map, rng):
        paints.append(Paint(outline, WHITE, rng.uniform(0.7, 1.0)))
    more = rng.spawn(1)[0]  # numbers of its own: what comes after does not depend on how many there are
    for outline in symbols.approach_symbols(road_map, look.upkeep.symbols, more):
        paints.append(Paint(outline, WHITE, more.uniform(0.55, 1.0)))
    return paints


class _Flow:
    """Driving directions next to a divider, from the lane centrelines."""

    def __init__(self, road_map: RoadMap) -> None:
        lines = [polylines.resampled(c, 2.0) for c in road_map.centrelines if len(c) > 1]
        self._points = np.concatenate([line[:-1] for line in lines]) if lines else np.zeros((0, 2))
        self._ahead = np.concatenate([np.diff(line, axis=0) for line in lines]) if lines else np.zeros((0, 2))
        self._tree = cKDTree(self._points) if lines else None

    def separates_directions(self, line: NDArray[np.float64]) -> bool:
        """Whether traffic on the two sides runs in opposite directions (decided at the middle of the line)."""
        if self._tree is None:
            return False
        s = polylines.arc_lengths(line)[-1] / 2
        middle, heading = polylines.at(line, np.array([s]))[0], float(polylines.heading_at(line, np.array([s]))[0])
        left, ahead = np.array([-np.sin(heading), np.cos(heading)]), np.array([np.cos(heading), np.sin(heading)])
        flows = []
        for side in (1.8, -1.8):
            _, index = self._tree.query(middle + side * left)
            flows.append(float(self._ahead[index] @ ahead))
        return flows[0] * flows[1] < 0


def _divider(line: NDArray[np.float64], opposing: bool, look: Look, rng: np.random.Generator) -> Iterator[Paint]:
    strength = float(np.clip(rng.normal(0.95, 0.15), 0.3, 1.0))
    fate = rng.random()
    if fate < 0.05:
        return
    if fate < 0.12:
        strength *= 0.3
    colour = YELLOW if opposing and look.yellow_centre else WHITE
    styles, shares = ["dashed", "solid", "double", "mixed"], [0.72, 0.22, 0.03, 0.03]
    if opposing:
        shares = [0.25, 0.35, 0.30, 0.10]
    style = str(rng.choice(styles, p=shares))
    gap = look.line_width_m * rng.uniform(0.9, 1.4)
    tracks = {"double": [(gap, False), (-gap, False)], "mixed": [(gap, True), (-gap, False)]}
    width = look.line_width_m * (0.75 if style in tracks else 1.0)
    for shift, dashed in tracks.get(style, [(0.0, style == "dashed")]):
        yield from _stroke(line, width, shift, look.dash_m if dashed else None, colour, strength, rng)


def _stroke(
    line: NDArray[np.float64],
    width: float,
    shift: float,
    dash_m: tuple[float, float] | None,
    colour: int,
    strength: float,
    rng: np.random.Generator,
) -> Iterator[Paint]:
    """A line of paint in dashes, or solid in pieces that wear differently; some pieces are missing."""
    total = polylines.arc_lengths(line)[-1]
    on, off = dash_m if dash_m else (rng.uniform(3, 8), 0.0)
    starts = np.arange(-rng.uniform(0, on + off), total, on + off)
    ends = np.minimum(starts + on, total)
    starts = np.maximum(starts, 0.0)
    keep = (ends - starts > 0.15) & (rng.random(len(starts)) > 0.03)
    for piece in polylines.pieces(line, starts[keep], ends[keep]):
        yield Paint(polylines.strip(piece, width, shift), colour, float(np.clip(strength + rng.normal(0, 0.06), 0, 1)))


def _crossing(ring: NDArray[np.float64], look: Look, rng: np.random.Generator) -> Iterator[Paint]:
    """Bars along the traffic's direction, or lines along the walking direction, inside the crossing's outline."""
    polygon = shapely.make_valid(shapely.Polygon(ring))
    corners = shapely.get_coordinates(polygon.minimum_rotated_rectangle)[:4]
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*edges.T)
    if len(corners) < 4 or lengths.min() < 0.5 or rng.random() < 0.04:
        return
    first = 0 if lengths[0] >= lengths[1] else 1
    start, along, across = corners[first], edges[first], edges[(first + 1) % 4]
    style = look.crossing if rng.random() < 0.8 else str(rng.choice(["zebra", "two_lines", "ladder", "dotted"]))
    strength = float(np.clip(rng.normal(0.95, 0.15), 0.25, 1.0))
    if style == "brick":
        yield from _inside(polygon, ring, BRICK, strength)
    for quad in _crossing_quads(style, lengths[first], rng):
        outline = start + quad[:, :1] * along + quad[:, 1:] * across
        yield from _inside(polygon, outline, WHITE, float(np.clip(strength + rng.normal(0, 0.07), 0, 1)))


def _crossing_quads(style: str, length: float, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Quads in shares of the crossing's length and width."""
    box = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    if style in ("zebra", "ladder"):
        bar = rng.uniform(0.4, 0.65)
        pitch = bar + rng.uniform(0.4, 0.9)
        for x in np.arange(rng.uniform(0, 0.5), length, pitch):
            yield box * (min(bar, length - x) / length, 1.0) + (x / length, 0.0)
    if style in ("two_lines", "ladder", "dotted", "brick"):
        dash = 1.0 if style == "dotted" else length
        for edge in (0.0, 0.94):
            for x in np.arange(0, length, 2 * dash):
                yield box * (min(dash, length - x) / length, 0.06) + (x / length, edge)


def _inside(polygon: shapely.Geometry, outline: NDArray[np.float64], colour: int, strength: float) -> Iterator[Paint]:
    for part in shapely.get_parts(shapely.intersection(shapely.make_valid(shapely.Polygon(outline)), polygon)):
        if part.geom_type == "Polygon" and part.area > 0.01:
            yield Paint(shapely.get_coordinates(part.exterior), colour, strength)


def _edge_lines(area: shapely.MultiPolygon, look: Look, rng: np.random.Generator) -> Iterator[Paint]:
    """Lines along the kerb, a little inside the road; stretches of the kerb go without."""
    gap = rng.uniform(0.25, 0.5)
    shifts = (gap, gap + 0.25) if look.edge_line == "double_yellow" else (gap,)
    colour = WHITE if look.edge_line == "white" else YELLOW
    phase, wavelength = rng.uniform(0, 2 * np.pi), rng.uniform(25, 80)
    for shift in shifts:
        for polygon in shapely.get_parts(area.buffer(-shift, quad_segs=3)):
            for ring in [polygon.exterior, *polygon.interiors]:
                line = shapely.get_coordinates(shapely.simplify(ring, 0.02))
                s = np.arange(0, ring.length, 4.0)
                keep = np.sin(2 * np.pi * s / wavelength + phase) > -0.4
                for piece in polylines.pieces(line, s[keep], np.minimum(s[keep] + 4.0, ring.length)):
                    yield Paint(polylines.strip(piece, 0.1), colour, float(rng.uniform(0.6, 0.95)))
