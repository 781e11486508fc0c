# SPDX-License-Identifier: Apache-2.0
"""Where the asphalt is: the road area of a map, given or derived from its boundary lines."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds.road_map import RoadMap

LANE_HALF_WIDTH_M = 1.9
RIM_M = 2.0  # maps are cut at a distance from the drive; ends this near to the farthest one are cuts, not true ends
CAR_LENGTH_M = 5.0
SIDE_STEP_M = 0.25
MIN_SIDE_AGREEMENT = 0.75


def drivable_area(road_map: RoadMap) -> shapely.MultiPolygon:
    """The road area in the map frame.

    `road_map.drivable` where the source knows it. Otherwise boundaries and the rim of the mapped region are
    polygonised. Where the boundaries of this map have the lanes consistently on one side, a face is road when the
    boundaries around it have it on that side; else when lane centrelines run in it for a car's length. A map without
    usable boundaries gives lanes as wide as lanes usually are.
    """
    if road_map.drivable is not None:
        return road_map.drivable
    faces = _faces(road_map)
    lanes = shapely.multilinestrings([shapely.linestrings(x) for x in road_map.centrelines if len(x) > 1])
    lengths = shapely.length(shapely.intersection(faces, lanes)) if len(faces) else np.zeros(0)
    votes = _side_votes(road_map, faces, lanes)
    is_road = votes > 0 if votes.any() else lengths > CAR_LENGTH_M
    road = shapely.union_all(faces[is_road]) if is_road.any() else lanes.buffer(LANE_HALF_WIDTH_M)
    polygons = [part for part in shapely.get_parts(road) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(polygons)


def grid_around(ego: NDArray[np.float64], margin: float, cell: float) -> BevGrid:
    """Grid in the map frame around a whole drive (N x 4 time x y yaw) whose size in cells can be halved three times."""
    step = 8 * cell
    x0, y0 = np.floor((ego[:, 1:3].min(axis=0) - margin) / step) * step
    x1, y1 = np.ceil((ego[:, 1:3].max(axis=0) + margin) / step) * step
    return BevGrid(float(x0), float(x1), float(y0), float(y1), cell)


def _faces(road_map: RoadMap) -> NDArray[np.object_]:
    """Polygons that boundaries and the rim of the mapped region enclose."""
    vertices = [line for line in road_map.boundaries if len(line) > 1]
    if not vertices:
        return np.zeros(0, object)
    track = _track(road_map)
    ends = shapely.distance(track, shapely.points([line[i] for line in vertices for i in (0, -1)]))
    # Just inside the rim every boundary that was cut there still crosses it, and so closes its face.
    reach = float(ends[ends > ends.max() - RIM_M].min()) - 0.2
    region = track.buffer(max(reach, 1.0), quad_segs=64)
    noded = shapely.union_all([shapely.multilinestrings([shapely.linestrings(x) for x in vertices]), region.exterior])
    return shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))


def _track(road_map: RoadMap) -> shapely.Geometry:
    xy = road_map.ego[:, 1:3]
    if len(xy) < 2 or np.ptp(xy, axis=0).max() < 0.1:
        return shapely.Point(xy[0])
    # A track with a pose every few millimetres makes GEOS leave spikes in a buffer as wide as the map.
    return shapely.simplify(shapely.LineString(xy), 0.05)


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
