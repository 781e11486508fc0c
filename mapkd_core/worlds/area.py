# SPDX-License-Identifier: Apache-2.0
"""Where the asphalt is: the road area of a map, given or derived from its boundary lines."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds.road_map import RoadMap

LANE_HALF_WIDTH_M = 1.9
RIM_M = 0.5  # maps are cut at a distance from the drive; just inside that rim every cut boundary still crosses it
SIDE_STEP_M = 0.25
MIN_SIDE_AGREEMENT = 0.75


def drivable_area(road_map: RoadMap) -> shapely.MultiPolygon:
    """The road area in the map frame.

    `road_map.drivable` where the source knows it. Otherwise boundaries and the rim of the mapped region are
    polygonised, and a face is road where lane centrelines run in it, or, without any, where the boundaries around it
    have it on the side on which the roads of this map lie. A map without usable boundaries gives lanes as wide as
    lanes usually are.
    """
    if road_map.drivable is not None:
        return road_map.drivable
    faces = _faces(road_map)
    lanes = shapely.multilinestrings([shapely.linestrings(x) for x in road_map.centrelines if len(x) > 1])
    lengths = shapely.length(shapely.intersection(faces, lanes)) if len(faces) else np.zeros(0)
    score = lengths + 0.2 * _side_votes(road_map, faces, lanes)
    road = shapely.union_all(faces[score > 0]) if np.any(score > 0) else lanes.buffer(LANE_HALF_WIDTH_M)
    polygons = [part for part in shapely.get_parts(road) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(polygons)


def _faces(road_map: RoadMap) -> NDArray[np.object_]:
    """Polygons that boundaries and the rim of the mapped region enclose."""
    vertices = [line for line in road_map.boundaries if len(line) > 1]
    if not vertices:
        return np.zeros(0, object)
    track = shapely.MultiPoint(road_map.ego[:, 1:3]) if len(road_map.ego) < 2 else _track(road_map)
    reach = float(shapely.distance(track, shapely.points(np.concatenate(vertices))).max()) - RIM_M
    region = track.buffer(max(reach, 1.0), quad_segs=64)
    lines = shapely.intersection(shapely.multilinestrings([shapely.linestrings(x) for x in vertices]), region)
    noded = shapely.union_all([lines, region.exterior])
    return shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))


def _track(road_map: RoadMap) -> shapely.Geometry:
    line = shapely.LineString(road_map.ego[:, 1:3])
    return line if line.length > 1e-6 else shapely.Point(road_map.ego[0, 1:3])


def _side_votes(road_map: RoadMap, faces: NDArray[np.object_], lanes: shapely.Geometry) -> NDArray[np.float64]:
    """Metres of boundary that have each face on the road's side minus on the other side.

    Zero everywhere when the boundaries of this map are not oriented consistently: then sides say nothing.
    """
    votes = np.zeros(len(faces))
    if not len(faces) or lanes.is_empty:
        return votes
    points, normals = _samples(road_map)
    nearest = shapely.get_coordinates(shapely.shortest_line(shapely.points(points), lanes)).reshape(-1, 2, 2)
    towards = nearest[:, 1] - nearest[:, 0]
    near = np.hypot(*towards.T) < 3 * LANE_HALF_WIDTH_M
    sides = np.sign(np.einsum("ij,ij->i", towards, normals))[near]
    if not near.any() or abs(sides.mean()) < 2 * MIN_SIDE_AGREEMENT - 1:
        return votes
    tree = shapely.STRtree(faces)
    for sign in (1.0, -1.0):
        beside = shapely.points(points + sign * np.sign(sides.mean()) * SIDE_STEP_M * normals)
        np.add.at(votes, tree.query(beside, predicate="within")[1], sign)
    return votes


def _samples(road_map: RoadMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A point per metre of boundary and the unit normal on its left."""
    points, normals = [], []
    for line in road_map.boundaries:
        steps = np.diff(line, axis=0)
        for start, step, length in zip(line[:-1], steps, np.hypot(*steps.T), strict=True):
            if length < 1e-6:
                continue
            shares = (np.arange(max(int(length), 1)) + 0.5) / max(int(length), 1)
            points.append(start + shares[:, None] * step)
            normals.append(np.tile([-step[1], step[0]], (len(shares), 1)) / length)
    return np.concatenate(points), np.concatenate(normals)
