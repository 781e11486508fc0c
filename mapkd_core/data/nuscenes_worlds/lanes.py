# SPDX-License-Identifier: Apache-2.0
"""Lanes of the map expansion from lane centrelines: strips, arcline paths, who follows whom, and sides of dividers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from mapkd_core.data.nuscenes_worlds.map_records import MapRecords

Line = NDArray[np.float64]
HALF_WIDTH_M = 1.5  # narrower than a lane: strips stay off the kerb and do not change the contour of the road
INSET_M = 0.02
JOINT_M = 0.5  # a lane that starts this near to the end of another follows it
LANE_OFFSET_M, REACH_M = 1.8, 1.5  # where the next lane's centreline is looked for beside a divider
STEP_M = 1.0


def add_lanes(records: MapRecords, centrelines: tuple[Line, ...], road: shapely.Geometry) -> None:
    """A lane for each centreline that runs on the road; turns across junctions are lanes, too, no lane connectors."""
    from mapkd_core.data.nuscenes_worlds.map_records import valid_polygons

    inner = road.buffer(-INSET_M)
    added: list[tuple[str, Line]] = []
    for line in centrelines:
        strip = shapely.LineString(line).buffer(HALF_WIDTH_M, cap_style="flat")
        parts = valid_polygons(shapely.intersection(strip, inner))
        if parts:
            largest = max(parts, key=lambda part: part.area)
            name = records.add(
                "lane", polygon_token=records.add_polygon(largest), lane_type="CAR", from_edge_line_token="",
                to_edge_line_token="", left_lane_divider_segments=[], right_lane_divider_segments=[],
            )  # fmt: skip
            added.append((name, line))
            records.content["arcline_path_3"][name] = arcline_path(line)
    starts = np.array([line[0] for _, line in added]).reshape(-1, 2)
    ends = np.array([line[-1] for _, line in added]).reshape(-1, 2)
    follows = np.hypot(*(ends[:, None] - starts[None]).transpose(2, 0, 1)) < JOINT_M
    for i, (name, _) in enumerate(added):
        records.content["connectivity"][name] = {
            "incoming": [added[j][0] for j in np.flatnonzero(follows[:, i]) if j != i],
            "outgoing": [added[j][0] for j in np.flatnonzero(follows[i]) if j != i],
        }


def arcline_path(line: Line) -> list[dict[str, Any]]:
    """A polyline as nuScenes' arcline paths: each of its segments is the straight middle of one, without the arcs."""
    steps = np.diff(line, axis=0)
    lengths, yaws = np.hypot(*steps.T), np.arctan2(steps[:, 1], steps[:, 0])
    return [
        {
            "start_pose": [*line[i].tolist(), float(yaws[i])],
            "end_pose": [*line[i + 1].tolist(), float(yaws[i])],
            "shape": "LSR",
            "radius": 999.999,
            "segment_length": [0.0, float(lengths[i]), 0.0],
        }
        for i in range(len(steps))
        if lengths[i] > 1e-6
    ]


class Directions:
    """Driving directions near a place, from lane centrelines."""

    def __init__(self, centrelines: tuple[Line, ...]) -> None:
        points, headings = [np.zeros((0, 2))], [np.zeros((0, 2))]
        for line in centrelines:
            dense = shapely.get_coordinates(shapely.LineString(line).segmentize(STEP_M))
            points.append((dense[1:] + dense[:-1]) / 2)
            steps = np.diff(dense, axis=0)
            headings.append(steps / np.maximum(np.hypot(*steps.T), 1e-9)[:, None])
        self._headings = np.concatenate(headings)
        self._tree = cKDTree(np.concatenate(points)) if len(self._headings) else None

    def are_opposite_beside(self, divider: Line) -> bool:
        """Whether the lanes on the two sides of a divider's middle run against each other."""
        if self._tree is None or len(divider) < 2:
            return False
        line = shapely.LineString(divider)
        middle = shapely.get_coordinates(line.interpolate([0.49, 0.5, 0.51], normalized=True))
        along = (middle[2] - middle[0]) / max(float(np.hypot(*(middle[2] - middle[0]))), 1e-9)
        normal = np.array([-along[1], along[0]]) * LANE_OFFSET_M
        apart, nearest = self._tree.query([middle[1] + normal, middle[1] - normal])
        left, right = self._headings[nearest]
        return bool(apart.max() < REACH_M and left @ right < -0.5)
