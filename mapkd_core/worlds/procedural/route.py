# SPDX-License-Identifier: Apache-2.0
"""The drive: a random way through the network along lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.curve import Curve, smoothed
from mapkd_core.worlds.procedural.furnish import twin
from mapkd_core.worlds.procedural.pace import LEAD_IN_M, travelled_at
from mapkd_core.worlds.procedural.road import Meeting, Road

DURATION_S = 20.0
RATE_HZ = 10.0
END_M = 25.0  # a drive stays this far from where a road stops in nothing


@dataclass(frozen=True, eq=False)
class Drive:
    """route: the whole way as a curve; times (s) and travelled (s of the route) at RATE_HZ; ego rows t x y yaw."""

    route: Curve
    times: NDArray[np.float64]
    travelled: NDArray[np.float64]

    @cached_property
    def ego(self) -> NDArray[np.float64]:
        xy, yaw = self.route.at(self.travelled), self.route.heading_at(self.travelled)
        return np.column_stack([self.times, xy, yaw])


def random_drive(roads: list[Road], speed: float, rng: np.random.Generator) -> Drive | None:
    """A drive of DURATION_S at about `speed` m/s; None where the way ends too soon."""
    need = LEAD_IN_M + 25.0 + speed * DURATION_S
    xy, stops = _way(roads, need, rng)
    route = smoothed(xy)
    if route is None or route.length < 60.0:
        return None
    times = np.arange(round(DURATION_S * RATE_HZ) + 1) / RATE_HZ
    if rng.random() < 0.05:
        place = rng.choice(stops) if stops and rng.random() < 0.7 else rng.uniform(LEAD_IN_M, route.length - 10)
        return Drive(route, times, np.full(len(times), float(np.clip(place, LEAD_IN_M, route.length - 10))))
    return Drive(route, times, travelled_at(route, times, speed, stops, rng))


def _way(roads: list[Road], need: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], list[float]]:
    """Points along lanes and turns, and where along them one may have to stop."""
    streets = [r for r in roads if any(not m.minor for m in r.meetings) or r.level == 0]
    weights = np.array([r.length * (6.0 if r.level == 0 else 1.0) for r in streets])
    road = streets[rng.choice(len(streets), p=weights / weights.sum())]
    direction = int(rng.choice([1, -1])) if road.section.backward else 1
    lane = int(rng.integers(road.section.lanes(direction)))
    first, last = road.outline_start + END_M, min(road.length, road.outline_stop) - END_M
    start = rng.uniform(0.0, 0.6)
    s = first + start * (last - first) if direction > 0 else last - start * (last - first)
    d = road.section.lane_d(direction, lane)
    pieces: list[NDArray[np.float64]] = []
    stops: list[float] = []
    travelled = 0.0
    while travelled < need:
        meeting = _next(road, s, direction)
        choice = _choose(road, direction, meeting, rng) if meeting else None
        last = min(road.length, road.outline_stop) - END_M if direction > 0 else road.outline_start + END_M
        if meeting is None or choice is None:
            if direction * (last - s) > 1:
                pieces.append(_lane_points(road, s, last, d, d))
            break
        other, other_direction = choice
        if other is road:
            stop = meeting.s + direction * (meeting.core + 1)
            lane = int(rng.integers(road.section.lanes(direction))) if rng.random() < 0.25 else lane
            new_d = road.section.lane_d(direction, lane)
            pieces.append(_lane_points(road, s, stop, d, new_d))
            stops.append(travelled + max(abs(stop - s) - 2 * meeting.core - 6, 0.0))
            s, d = stop, new_d
        else:
            pieces += _turn(road, s, d, direction, meeting, other_direction)
            stops.append(travelled + max(abs(meeting.s - s) - meeting.core - 6, 0.0))
            seen = twin(road, meeting)
            right = _is_right_turn(road, direction, meeting, other_direction)
            road, direction = other, other_direction
            lane = road.section.lanes(direction) - 1 if right else 0
            s = seen.s + direction * _entry(seen)
            d = road.section.lane_d(direction, lane)
        travelled = sum(float(np.hypot(*np.diff(p, axis=0).T).sum()) for p in pieces)
    return np.concatenate([np.zeros((0, 2)), *pieces]), stops


def _next(road: Road, s: float, direction: int) -> Meeting | None:
    ahead = [m for m in road.meetings if not m.minor and direction * (m.s - s) > m.core + m.radius + 8]
    return min(ahead, key=lambda m: direction * (m.s - s)) if ahead else None


def _entry(meeting: Meeting) -> float:
    """Metres from the junction's middle at which a turn begins or ends."""
    return meeting.core + 0.7 * meeting.radius + 1.0


def _choose(road: Road, direction: int, meeting: Meeting, rng: np.random.Generator) -> tuple[Road, int] | None:
    """Straight on or into the other road, whatever leads on for another 40 m."""

    def leads_on(r: Road, s: float, way: int, reach: float) -> bool:
        room = min(r.length, r.outline_stop) - s if way > 0 else s - r.outline_start
        return r.section.lanes(way) > 0 and room > reach + 40

    seen = twin(road, meeting)
    turns = [(meeting.other, way) for way in (1, -1) if leads_on(meeting.other, seen.s, way, _entry(seen))]
    straight = leads_on(road, meeting.s, direction, meeting.core)
    if straight and (not turns or rng.random() < 0.55):
        return road, direction
    return turns[rng.integers(len(turns))] if turns else None


def _is_right_turn(road: Road, direction: int, meeting: Meeting, other_direction: int) -> bool:
    before = road.curve.heading_at(meeting.s) + (0 if direction > 0 else np.pi)
    after = meeting.other.curve.heading_at(meeting.other_s) + (0 if other_direction > 0 else np.pi)
    return bool(np.sin(after - before) < 0)


def _turn(
    road: Road, s: float, d: float, direction: int, meeting: Meeting, other_direction: int
) -> list[NDArray[np.float64]]:
    """Along the lane to the junction, over to the lane for the turn, and a Bezier arc into the other road."""
    right = _is_right_turn(road, direction, meeting, other_direction)
    lane = road.section.lanes(direction) - 1 if right else 0
    turn_d = road.section.lane_d(direction, lane)
    stop = meeting.s - direction * _entry(meeting)
    seen, other = twin(road, meeting), meeting.other
    out_lane = other.section.lanes(other_direction) - 1 if right else 0
    out_s = seen.s + other_direction * _entry(seen)
    p0, p3 = road.curve.at(stop, turn_d), other.curve.at(out_s, other.section.lane_d(other_direction, out_lane))
    h0 = road.curve.heading_at(stop) + (0 if direction > 0 else np.pi)
    h3 = other.curve.heading_at(out_s) + (0 if other_direction > 0 else np.pi)
    reach = 0.39 * float(np.hypot(*(p3 - p0)))
    p1 = p0 + reach * np.array([np.cos(h0), np.sin(h0)])
    p2 = p3 - reach * np.array([np.cos(h3), np.sin(h3)])
    t = np.linspace(0, 1, 30)[:, None]
    arc = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3
    return [_lane_points(road, s, stop, d, turn_d), arc]


def _lane_points(road: Road, s0: float, s1: float, d0: float, d1: float) -> NDArray[np.float64]:
    """Points along a lane, over to another one (d1) within the first part of the way."""
    s = road.curve.stations(s0, s1)
    share = np.clip(np.abs(s - s0) / max(min(abs(s1 - s0) * 0.8, 45.0), 1.0), 0, 1)
    return road.curve.at(s, d0 + (d1 - d0) * share**2 * (3 - 2 * share))
