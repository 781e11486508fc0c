# SPDX-License-Identifier: Apache-2.0
"""RoadMap: lines of a road network with a drive through it, in a fixed map frame (x east, y north, metres).

It says where things are, never how they look: appearance is the renderer's, drawn from a seed. `road_map_file.load`
reads and `road_map_file.save` writes the open road-map format (`*.json.gz`, described in docs/formats.md).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

Line = NDArray[np.float64]  # V x 2, metres in the map frame

HAIRPIN_RADIANS = np.deg2rad(60)


@dataclass(frozen=True, eq=False)
class Agent:
    """Another road user: a box that is there between its first and its last pose.

    poses: N x 4 time in seconds on the drive's clock, x, y, yaw of the box centre; N = 1 for one that stands still
    throughout the drive.
    """

    kind: str  # VEHICLE, PEDESTRIAN, CYCLIST, TRAFFIC_CONE, TRAFFIC_BARRIER
    length: float
    width: float
    height: float
    poses: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RoadMap:
    """Vector truth of one place, and one drive through it.

    dividers, boundaries: polylines; a boundary that repeats its first vertex at its end is a closed ring; boundaries
    run with the road on their right, as in nuScenes (only `area.drivable_area` uses it, and checks it first).
    crossings: closed rings without the repeated first vertex.
    centrelines: lane centres in driving direction. sd_roads: coarse road lines as a navigation map has them, with
    their OpenStreetMap highway values in sd_road_types (empty, or as many).
    ego: N x 4 time in seconds, x, y, yaw at 10 Hz, strictly rising times.
    labelled: the classes whose truth is known; the others must be masked in any score.
    drivable: the road area, where the source knows it exactly; else `area.drivable_area` derives it.
    location, licence: where it is and what the source says about its use; empty for made-up roads.
    """

    name: str
    dividers: tuple[Line, ...]
    boundaries: tuple[Line, ...]
    crossings: tuple[Line, ...]
    centrelines: tuple[Line, ...]
    ego: NDArray[np.float64]
    agents: tuple[Agent, ...] = ()
    sd_roads: tuple[Line, ...] = ()
    labelled: tuple[str, ...] = ("divider", "ped_crossing", "boundary")
    drivable: shapely.MultiPolygon | None = None
    sd_road_types: tuple[str, ...] = ()
    location: str = ""
    licence: str = ""

    @cached_property
    def agent_poses(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Poses of all agents in one table (P x 4), and where each agent's rows begin in it (one more than agents)."""
        rows = [agent.poses for agent in self.agents]
        return np.concatenate([np.zeros((0, 4)), *rows]), np.cumsum([0, *(len(r) for r in rows)])

    @cached_property
    def layers(self) -> dict[str, tuple[NDArray[np.object_], shapely.STRtree]]:
        """Class name -> its shapely geometries in the map frame and a tree over them, built on first use.

        Lines that touch end to end and continue are one line; crossings are valid polygons.
        """
        layers = {
            "divider": _continued(self.dividers),
            "ped_crossing": _valid_polygons(self.crossings),
            "boundary": _continued(self.boundaries),
        }
        return {name: (np.array(found, object), shapely.STRtree(found)) for name, found in layers.items()}


def _continued(lines: tuple[Line, ...]) -> list[shapely.LineString]:
    """Touching lines joined where exactly two meet and the joint turns by less than HAIRPIN_RADIANS."""
    lines = tuple(line for line in lines if len(line) > 1)
    if not lines:
        return []
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings([shapely.linestrings(x) for x in lines])))
    ends = {tuple(end) for line in lines for end in (line[0], line[-1])}
    parts: list[shapely.LineString] = []
    for line in merged:
        vertices = shapely.get_coordinates(line)
        headings = np.arctan2(*np.diff(vertices, axis=0).T[::-1])
        turns = np.abs((np.diff(headings) + np.pi) % (2 * np.pi) - np.pi)
        cuts = [int(i) + 1 for i in np.flatnonzero(turns > HAIRPIN_RADIANS).tolist() if tuple(vertices[i + 1]) in ends]
        edges = [0, *cuts, len(vertices) - 1]
        parts += [shapely.LineString(vertices[a : b + 1]) for a, b in itertools.pairwise(edges)]
    return parts


def _valid_polygons(rings: tuple[Line, ...]) -> list[shapely.Polygon]:
    polygons = shapely.make_valid([shapely.Polygon(ring) for ring in rings if len(ring) > 2])
    return [part for part in shapely.get_parts(polygons) if part.geom_type == "Polygon" and part.area > 0]
