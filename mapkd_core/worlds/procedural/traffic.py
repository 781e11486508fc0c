# SPDX-License-Identifier: Apache-2.0
"""Other road users of a made-up drive: parked, waiting and moving vehicles, people, cyclists, cones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.lots import Lot
from mapkd_core.worlds.procedural.road import Bump, Road
from mapkd_core.worlds.procedural.route import DURATION_S, Drive
from mapkd_core.worlds.procedural.style import Style
from mapkd_core.worlds.road_map import Agent, Line

POSE_STEP_S = 0.5
EGO_LENGTH_M, EGO_WIDTH_M, EGO_CENTRE_M = 4.1, 1.75, 1.4  # box centre ahead of the rear axle
REACH_M = 110.0  # agents farther from the drive are never seen
VEHICLES = {  # length, width, height and their spread, share of moving traffic
    "car": ((4.6, 1.92, 1.62), 0.06, 0.72),
    "van": ((5.3, 2.1, 2.1), 0.08, 0.16),
    "truck": ((8.0, 2.6, 3.2), 0.18, 0.07),
    "bus": ((11.8, 2.9, 3.4), 0.05, 0.05),
}


def populate(
    roads: list[Road],
    lots: list[Lot],
    crossings: tuple[Line, ...],
    drive: Drive,
    style: Style,
    rng: np.random.Generator,
) -> tuple[Agent, ...]:
    """Agents near the drive, none of which overlaps the ego vehicle or another agent."""
    near = [road for road in roads if _distance(road.curve.xy, drive) < REACH_M]
    streets = [road for road in near if road.level <= 2]
    wanted = _convoy(drive, rng)
    for road in streets:
        wanted += _parked(road, rng) + _moving(road, style, rng)
        wanted += _people(road, style, rng) + _works(road, rng)
    for road in (road for road in near if road.level > 2):
        wanted += _in_driveway(road, rng)
    wanted += [_vehicle(rng, _still(slot[:2], slot[2]), "car") for lot in lots for slot in lot.slots]
    for ring in crossings:
        wanted += _on_crossing(ring, style, rng)
    return _without_overlap([agent for agent in wanted if _distance(agent.poses[:, 1:3], drive) < REACH_M], drive)


def _distance(xy: NDArray[np.float64], drive: Drive) -> float:
    track = drive.ego[::20, 1:3]
    return float(np.hypot(*(xy[::4, None] - track[None]).transpose(2, 0, 1)).min())


def _vehicle(rng: np.random.Generator, poses: NDArray[np.float64], kind: str | None = None) -> Agent:
    names = list(VEHICLES)
    kind = kind or str(rng.choice(names, p=[VEHICLES[name][2] for name in names]))
    size, spread, _ = VEHICLES[kind]
    length, width, height = np.array(size) * (1 + spread * np.clip(rng.normal(size=3) * (1, 0.5, 0.7), -2, 2))
    return Agent("VEHICLE", float(length), float(width), float(height), poses)


def _still(xy: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    return np.array([[0.0, xy[0], xy[1], yaw]])


def _times() -> NDArray[np.float64]:
    return np.arange(round(DURATION_S / POSE_STEP_S) + 1) * POSE_STEP_S


def _convoy(drive: Drive, rng: np.random.Generator) -> list[Agent]:
    """A vehicle ahead of the ego vehicle and one behind it, on the same way."""
    agents = []
    times = _times()
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
            agents.append(_vehicle(rng, poses, "car" if not ahead else None))
    return agents


def _moving(road: Road, style: Style, rng: np.random.Generator) -> list[Agent]:
    """Vehicles in every lane, driving at the lane's speed or queueing before a junction; some cyclists at the kerb."""
    agents = []
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
            d = road.kerb(-direction, 0.0) + direction * 0.8
            agents.append(_mover(road, float(d), direction, rng.uniform(0, stop), rng.uniform(2.5, 6), rng, "CYCLIST"))
    return [agent for agent in agents if agent is not None]


def _mover(
    road: Road, d: float, direction: int, start: float, speed: float, rng: np.random.Generator, kind: str = "VEHICLE"
) -> Agent | None:
    """Along the lane from `start` metres after its beginning (before it: enters later)."""
    times = _times()
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
    return _vehicle(rng, poses)


def _queue(road: Road, d: float, direction: int, head: float, rng: np.random.Generator) -> list[Agent]:
    agents = []
    s = head
    for _ in range(int(rng.integers(1, 8))):
        agent = _vehicle(rng, np.zeros((1, 4)))
        s -= direction * agent.length / 2
        if not road.outline_start + 5 < s < min(road.length, road.outline_stop) - 5:
            break
        yaw = float(road.curve.heading_at(s)) + (0.0 if direction > 0 else np.pi)
        pose = _still(road.curve.at(s, d + rng.normal(0, 0.15)), yaw)
        agents.append(Agent(agent.kind, agent.length, agent.width, agent.height, pose))
        s -= direction * (agent.length / 2 + rng.uniform(1.2, 4.0))
    return agents


def _parked(road: Road, rng: np.random.Generator) -> list[Agent]:
    agents = []
    for bump in road.bumps:
        if bump.use in ("parking", "lot", "bay"):
            agents += _in_bump(road, bump, rng)
    if road.level > 0 and not road.section.centre_line and rng.random() < 0.6:
        for side in (1, -1):
            full = Bump(side, road.outline_start + 8, min(road.length, road.outline_stop) - 4, (0, 0), 0.0, "parking")
            agents += _in_bump(road, full, rng, rng.uniform(0.05, 0.4))
    return agents


def _in_bump(road: Road, bump: Bump, rng: np.random.Generator, share: float | None = None) -> list[Agent]:
    """Vehicles in the slots of one parking stretch: along the kerb, or at right angles to it in a "lot"."""
    share = rng.uniform(0.2, 0.95) if share is None else share
    across = bump.use == "lot"
    slot = 2.6 if across else 6.0
    agents = []
    for s in np.arange(bump.start + bump.tapers[0] + slot / 2, bump.stop - bump.tapers[1] - slot / 2, slot):
        clear = all(abs(m.s - s) > m.core + 3 for m in road.meetings if bump.side in m.sides or not m.minor)
        if not clear or rng.random() > share:
            continue
        kind = "bus" if bump.use == "bay" and rng.random() < 0.5 else ("car" if rng.random() < 0.8 else "van")
        depth = 2.8 if across else 1.15
        place = road.curve.at(s + rng.normal(0, 0.15), road.kerb(bump.side, s) - bump.side * depth)
        yaw = float(road.curve.heading_at(s)) + (np.pi / 2 if across else 0.0)
        yaw += np.pi if (rng.random() < 0.5 if across else bump.side > 0) else 0.0
        agents.append(_vehicle(rng, _still(place, yaw + rng.normal(0, 0.02)), kind))
        if bump.use == "bay":
            break
    return agents


def _in_driveway(road: Road, rng: np.random.Generator) -> list[Agent]:
    if rng.random() > 0.35 or road.length < 12:
        return []
    s = road.length - rng.uniform(2.5, 5)
    return [_vehicle(rng, _still(road.curve.at(s), float(road.curve.heading_at(s)) + rng.choice([0, np.pi])), "car")]


def _people(road: Road, style: Style, rng: np.random.Generator) -> list[Agent]:
    """Pedestrians on the pavements, walking or standing."""
    agents = []
    times = _times()
    for _ in range(rng.poisson(style.people * road.length / 100 * 0.5)):
        side, start = int(rng.choice([-1, 1])), rng.uniform(0, road.length)
        speed = 0.0 if rng.random() < 0.25 else rng.normal(0, 1.0) + rng.choice([-1, 1]) * 0.9
        s = np.clip(start + speed * times, 0, road.length)
        d = road.kerb(side, s) + side * rng.uniform(0.7, 3.5)
        yaw = road.curve.heading_at(s) + (0.0 if speed > 0 else np.pi)
        agents.append(_person(rng, np.column_stack([times, road.curve.at(s, d), yaw])))
    return agents


def _on_crossing(ring: Line, style: Style, rng: np.random.Generator) -> list[Agent]:
    """People who walk over a crossing from kerb to kerb; ring corners 0 1 lie on one kerb, 2 3 on the other."""
    agents = []
    times = _times()
    for _ in range(rng.poisson(0.25 * style.people)):
        share = rng.uniform(0.2, 0.8)
        a, b = ring[0] + share * (ring[1] - ring[0]), ring[3] + share * (ring[2] - ring[3])
        if rng.random() < 0.5:
            a, b = b, a
        length = float(np.hypot(*(b - a)))
        along = np.clip(rng.uniform(-20, length) + rng.uniform(0.9, 1.6) * times, 0, length) / length
        yaw = np.arctan2(*(b - a)[::-1])
        xy = a + along[:, None] * (b - a)
        agents.append(_person(rng, np.column_stack([times, xy, np.full(len(times), yaw)])))
    return agents


def _person(rng: np.random.Generator, poses: NDArray[np.float64]) -> Agent:
    height = float(np.clip(rng.normal(1.72, 0.12), 1.1, 2.0))
    return Agent("PEDESTRIAN", float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.5, 0.8)), height, poses)


def _works(road: Road, rng: np.random.Generator) -> list[Agent]:
    """Now and then a row of cones, or of barriers, along the kerb."""
    if rng.random() > 0.12:
        return []
    side, start = int(rng.choice([-1, 1])), rng.uniform(0, road.length * 0.8)
    cones = rng.random() < 0.6
    s = np.minimum(start + np.arange(int(rng.integers(4, 12))) * (3.0 if cones else 2.3), road.length)
    d = road.kerb(side, s) - side * rng.uniform(0.3, 2.0)
    agents = []
    for place, yaw in zip(road.curve.at(s, d), road.curve.heading_at(s), strict=True):
        if cones:
            agents.append(Agent("TRAFFIC_CONE", 0.42, 0.42, float(rng.uniform(0.6, 1.0)), _still(place, float(yaw))))
        else:
            agents.append(Agent("TRAFFIC_BARRIER", 0.5, 2.1, 1.0, _still(place, float(yaw) + np.pi / 2)))
    return agents


def _without_overlap(agents: list[Agent], drive: Drive) -> tuple[Agent, ...]:
    """Those that keep clear of the ego vehicle and of everybody accepted before; each box stands as four discs."""
    times = _times()
    ego = drive.ego
    ego_poses = np.column_stack([times, *(np.interp(times, ego[:, 0], ego[:, i]) for i in (1, 2, 3))])
    ego_poses[:, 1:3] += EGO_CENTRE_M * np.stack([np.cos(ego_poses[:, 3]), np.sin(ego_poses[:, 3])], 1)
    ego_box = Agent("EGO", EGO_LENGTH_M + 1.0, EGO_WIDTH_M + 0.8, 1.6, ego_poses)
    discs = np.empty((len(agents) + 1, len(times), 4, 2))
    radii = np.empty(len(agents) + 1)
    discs[0], radii[0], kept = _discs(ego_box, times), ego_box.width / 2, []
    for agent in agents:
        mine = _discs(agent, times)
        count = len(kept) + 1
        others = discs[:count]
        apart = np.hypot(*(others[:, :, 0] - mine[:, 0]).transpose(2, 0, 1))
        near = np.flatnonzero(np.any(apart < 20.0, axis=1))
        gaps = others[near][:, :, :, None] - mine[None, :, None]
        reach = (radii[near] + agent.width / 2)[:, None, None, None]
        if not np.any(np.einsum("...i,...i", gaps, gaps) < reach**2):
            discs[count], radii[count] = mine, agent.width / 2
            kept.append(agent)
    return tuple(kept)


def _discs(agent: Agent, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """T 4 2: centres of four discs of the box's width along it; NaN while it is not there."""
    poses = agent.poses
    if len(poses) == 1:
        poses = np.repeat(poses, len(times), 0)
        there = np.ones(len(times), bool)
    else:
        there = (times >= poses[0, 0]) & (times <= poses[-1, 0])
        poses = np.column_stack([times, *(np.interp(times, poses[:, 0], poses[:, i]) for i in (1, 2, 3))])
    half = max(agent.length - agent.width, 0.0) / 2
    along = np.stack([np.cos(poses[:, 3]), np.sin(poses[:, 3])], 1)
    centres = poses[:, None, 1:3] + along[:, None] * (np.linspace(-half, half, 4)[None, :, None])
    centres[~there] = np.nan
    return centres
