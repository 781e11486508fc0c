# SPDX-License-Identifier: Apache-2.0
"""From a seed to a whole road map: district, roads, asphalt, markings, drive, traffic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from mapkd_core.worlds.priors import sd
from mapkd_core.worlds.procedural import furnish, lots, markings, network, route, surface, traffic
from mapkd_core.worlds.procedural.road import Road
from mapkd_core.worlds.procedural.style import Style, random_style
from mapkd_core.worlds.road_map import Agent, Line, RoadMap

REACH_M = 150.0  # of the map around the drive
MIN_LINE_M = 3.0
EGO_CLEARANCE_M = 0.9


def make_road_map(seed: int) -> RoadMap:
    """A road map that no other seed gives; the same seed gives the same map on every machine with the same libraries.

    Boundaries are exactly the contour of `drivable` (but for the rim where the map ends), and dividers lie inside it.
    """
    if seed < 0:
        raise ValueError(f"seed = {seed}; must be 0 or larger")
    for attempt in range(20):
        rng = np.random.default_rng([seed, attempt])
        style = random_style(rng)
        roads = network.lay_out(style, rng)
        furnish.furnish(roads, style, rng)
        fields = lots.add_lots(roads, style, rng)
        area = surface.pave(roads, fields, style, rng)
        drive = _drive_on(area, roads, style, rng)
        if drive is not None:
            return _assemble(f"procedural-{seed:06d}", style, roads, fields, area, drive, rng)
    raise RuntimeError(f"seed {seed}: no drive stays on the road in 20 attempts; report this seed")


def _drive_on(area: shapely.Geometry, roads: list[Road], style: Style, rng: np.random.Generator) -> route.Drive | None:
    """A drive whose vehicle keeps clear of every kerb."""
    safe = area.buffer(-EGO_CLEARANCE_M, quad_segs=2)
    shapely.prepare(safe)
    for _ in range(12):
        drive = route.random_drive(roads, style.speed, rng)
        if drive is None:
            continue
        rows = drive.ego
        front = rows[:, 1:3] + 3.0 * np.stack([np.cos(rows[:, 3]), np.sin(rows[:, 3])], 1)
        if shapely.contains_xy(safe, np.vstack([rows[:, 1:3], front])).all():
            return drive
    return None


def _assemble(
    name: str,
    style: Style,
    roads: list[Road],
    fields: list[lots.Lot],
    area: shapely.Geometry,
    drive: route.Drive,
    rng: np.random.Generator,
) -> RoadMap:
    """Cut everything to the surroundings of the drive and lay it somewhere in the plane, mirrored half of the time."""
    track = shapely.LineString(drive.ego[:, 1:3]) if np.ptp(drive.travelled) > 0.1 else shapely.Point(drive.ego[0, 1:3])
    # A track with a pose every few millimetres makes GEOS leave spikes in so wide a buffer.
    region = shapely.simplify(track, 0.2).buffer(REACH_M, quad_segs=16)
    crossings = markings.crossings(roads, area, rng)
    agents = traffic.populate(roads, fields, area, crossings, drive, style, rng)
    place = _placement(rng)
    local = shapely.intersection(area, region)
    drivable = shapely.MultiPolygon([p for p in shapely.get_parts(local) if p.geom_type == "Polygon" and p.area > 4])
    streets = [road for road in roads if road.level < 3]
    return RoadMap(
        name=name,
        dividers=_cut(markings.dividers(streets, area, rng), region, place),
        boundaries=_contour(drivable, region, place),
        crossings=tuple(place(ring) for ring in crossings if shapely.Polygon(ring).within(region)),
        centrelines=_cut(markings.centrelines(roads), region, place),
        ego=_placed(drive.ego, place),
        agents=_placed_agents(agents, place),
        sd_roads=tuple(sd.with_error(_cut(_axes(streets), region, place), rng)[0]),
        sd_road_types=(),
        drivable=shapely.orient_polygons(shapely.transform(drivable, place), exterior_cw=True),
    )


def _placement(rng: np.random.Generator) -> Callable[[Line], Line]:
    """Rotation, position and mirroring (left-hand traffic) as a function of points."""
    angle, offset = rng.uniform(-np.pi, np.pi), rng.uniform(200, 2000, 2)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s], [s, c]]) @ np.diag([1.0, rng.choice([1.0, -1.0])])
    return lambda xy: np.asarray(xy) @ matrix.T + offset


def _placed(poses: np.ndarray, place: Callable[[Line], Line]) -> np.ndarray:
    ahead = place(poses[:, 1:3] + np.stack([np.cos(poses[:, 3]), np.sin(poses[:, 3])], 1))
    xy = place(poses[:, 1:3])
    yaw = np.unwrap(np.arctan2(*(ahead - xy).T[::-1]))
    return np.column_stack([poses[:, 0], xy, yaw])


def _placed_agents(agents: tuple[Agent, ...], place: Callable[[Line], Line]) -> tuple[Agent, ...]:
    if not agents:
        return ()
    ends = np.cumsum([len(a.poses) for a in agents])[:-1]
    poses = np.split(_placed(np.concatenate([a.poses for a in agents]), place), ends)
    return tuple(Agent(a.kind, a.length, a.width, a.height, rows) for a, rows in zip(agents, poses, strict=True))


def _cut(lines: tuple[Line, ...], region: shapely.Geometry, place: Callable[[Line], Line]) -> tuple[Line, ...]:
    parts = [p for line in lines for p in shapely.get_parts(shapely.intersection(shapely.LineString(line), region))]
    return tuple(
        place(shapely.get_coordinates(p)) for p in parts if p.geom_type == "LineString" and p.length > MIN_LINE_M
    )


def _contour(
    drivable: shapely.MultiPolygon, region: shapely.Geometry, place: Callable[[Line], Line]
) -> tuple[Line, ...]:
    """The rings of the area without the rim of the region, with the road on their right."""
    inner = region.buffer(-0.05)
    shapely.prepare(inner)
    lines: list[Line] = []
    for polygon in drivable.geoms:
        for ring in (polygon.exterior, *polygon.interiors):
            line = shapely.LineString(ring)
            whole = inner.covers(line)
            parts = [line] if whole else shapely.get_parts(shapely.line_merge(shapely.intersection(line, inner)))
            lines += [shapely.get_coordinates(part) for part in parts if part.length > MIN_LINE_M]
    placed = [place(line) for line in lines]
    area = shapely.transform(drivable, place)
    shapely.prepare(area)
    return tuple(line if _road_on_right(line, area) else line[::-1] for line in placed)


def _road_on_right(line: Line, area: shapely.Geometry) -> bool:
    steps = np.diff(line, axis=0)
    lengths = np.hypot(*steps.T)
    beside = (line[1:] + line[:-1]) / 2 + 0.02 * np.stack([steps[:, 1], -steps[:, 0]], 1) / lengths[:, None]
    return bool(lengths[shapely.contains_xy(area, beside)].sum() > lengths.sum() / 2)


def _axes(streets: list[Road]) -> tuple[Line, ...]:
    """Road axes with a vertex every 5 m or so, as they truly lie."""
    return tuple(road.curve.at(road.curve.stations(0, road.length, 5.0)) for road in streets)
