# SPDX-License-Identifier: Apache-2.0
"""Other road users of a made-up drive: who is there, and the vehicles that move or wait in lanes."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.lots import Lot
from mapkd_core.worlds.procedural.parking import in_driveway, parked
from mapkd_core.worlds.procedural.people import on_crossing, people, works
from mapkd_core.worlds.procedural.road import Road
from mapkd_core.worlds.procedural.road_users import pose_times, still, vehicle
from mapkd_core.worlds.procedural.route import DURATION_S, Drive
from mapkd_core.worlds.procedural.spacing import EGO_CENTRE_M, without_overlap
from mapkd_core.worlds.procedural.style import Style
from mapkd_core.worlds.road_map import Agent, Line

REACH_M = 90.0  # agents farther from the drive are a few pixels at most


def populate(
    roads: list[Road],
    lots: list[Lot],
    area: shapely.Geometry,
    crossings: tuple[Line, ...],
    drive: Drive,
    style: Style,
    rng: np.random.Generator,
) -> tuple[Agent, ...]:
    """Agents near the drive: vehicles only on the asphalt, none overlapping the ego vehicle or another agent."""
    near = [road for road in roads if _distance(road.curve.xy, drive) < REACH_M]
    streets = [road for road in near if road.level <= 2]
    wanted = _convoy(drive, rng)
    for road in streets:
        wanted += parked(road, rng) + _moving(road, style, rng)
        wanted += people(road, style, rng) + works(road, rng)
    for road in (road for road in near if road.level > 2):
        wanted += in_driveway(road, rng)
    wanted += [vehicle(rng, still(slot[:2], slot[2]), "car") for lot in lots for slot in lot.slots]
    for ring in crossings:
        wanted += on_crossing(ring, style, rng)
    shapely.prepare(area)
    seen = [agent for agent in wanted if _distance(agent.poses[:, 1:3], drive) < REACH_M]
    return without_overlap([agent for agent in seen if _may_be_there(agent, area)], drive)


def _may_be_there(agent: Agent, area: shapely.Geometry) -> bool:
    """People and cones may be anywhere; a vehicle that would cross an island or a kerb stays away."""
    return agent.kind not in ("VEHICLE", "CYCLIST") or bool(shapely.contains_xy(area, agent.poses[:, 1:3]).all())


def _distance(xy: NDArray[np.float64], drive: Drive) -> float:
    track = drive.ego[::20, 1:3]
    return float(np.hypot(*(xy[::4, None] - track[None]).transpose(2, 0, 1)).min())


def _convoy(drive: Drive, rng: np.random.Generator) -> list[Agent]:
    """A vehicle ahead of the ego vehicle and one behind it, on the same way."""
    agents = []
    times = pose_times()
    travelled = np.interp(times, drive.times, drive.travelled)
    for ahead, chance in ((True, 0.5), (False, 0.5)):
        if rng.random() > chance:
            continue
        gap = rng.uniform(7.5, 30) + rng.uniform(0, 1) * np.gradient(travelled, times)
        s = travelled + gap + EGO_CENTRE_M if ahead else travelled - gap * 0.8
        s = np.maximum.accumulate(s)
        there = (s > 0) & (s < drive.route.length)
        if there.sum() > 2:
            poses = np.column_stack([times, drive.route.at(s), drive.route.heading_at(s)])[there]
            agents.append(vehicle(rng, poses, "car" if not ahead else None))
    return agents


def _moving(road: Road, style: Style, rng: np.random.Generator) -> list[Agent]:
    """Vehicles in every lane, driving at the lane's speed or queueing before a junction; some cyclists at the kerb."""
    agents: list[Agent | None] = []
    stop = min(road.length, road.outline_stop)
    for direction in (1, -1):
        for lane in range(road.section.lanes(direction)):
            d = road.section.lane_d(direction, lane)
            queue = rng.random() < 0.35
            heads = [m.s - direction * (m.clear[0 if direction > 0 else 1] + 1) for m in road.meetings if not m.minor]
            if queue and heads:
                agents += _queue(road, d, direction, float(rng.choice(heads)), rng)
                continue
            speed = style.speed * rng.uniform(0.6, 1.3)
            count = rng.poisson(style.traffic * road.length / 100)
            starts = road.outline_start + rng.uniform(-speed * DURATION_S, stop, count)
            agents += [_mover(road, d + rng.normal(0, 0.15), direction, s, speed, rng) for s in starts]
        if road.section.lanes(direction) and rng.random() < 0.25:
            d = float(road.kerb(-direction, 0.0)) + direction * 0.8
            agents.append(_mover(road, d, direction, rng.uniform(0, stop), rng.uniform(2.5, 6), rng, "CYCLIST"))
    return [agent for agent in agents if agent is not None]


def _mover(
    road: Road, d: float, direction: int, start: float, speed: float, rng: np.random.Generator, kind: str = "VEHICLE"
) -> Agent | None:
    """Along the lane from `start` metres after its beginning (before it: enters later)."""
    times = pose_times()
    first, last = road.outline_start, min(road.length, road.outline_stop)
    along = start + speed * times
    s = first + along if direction > 0 else last - along
    there = (s > first + 3) & (s < last - 3)
    if there.sum() < 3:
        return None
    yaw = road.curve.heading_at(s) + (0.0 if direction > 0 else np.pi)
    poses = np.column_stack([times, road.curve.at(s, d), yaw])[there]
    if kind == "CYCLIST":
        return Agent(
            kind, float(rng.normal(1.75, 0.08)), float(rng.normal(0.6, 0.05)), float(rng.normal(1.6, 0.15)), poses
        )
    return vehicle(rng, poses)


def _queue(road: Road, d: float, direction: int, head: float, rng: np.random.Generator) -> list[Agent]:
    agents = []
    s = head
    for _ in range(int(rng.integers(1, 8))):
        agent = vehicle(rng, np.zeros((1, 4)))
        s -= direction * agent.length / 2
        if not road.outline_start + 5 < s < min(road.length, road.outline_stop) - 5:
            break
        yaw = float(road.curve.heading_at(s)) + (0.0 if direction > 0 else np.pi)
        pose = still(road.curve.at(s, d + rng.normal(0, 0.15)), yaw)
        agents.append(Agent(agent.kind, agent.length, agent.width, agent.height, pose))
        s -= direction * (agent.length / 2 + rng.uniform(1.2, 4.0))
    return agents
