# SPDX-License-Identifier: Apache-2.0
"""RoadMap: lines of a road network with a drive through it, in a fixed map frame (x east, y north, metres).

It says where things are, never how they look: appearance is the renderer's, drawn from a seed. `load` reads and `save`
writes the open road-map format (`*.json.gz`, described in docs/formats.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]  # V x 2, metres in the map frame


@dataclass(frozen=True)
class Agent:
    """Another road user: a box that is there between its first and its last pose.

    poses: N x 4 time in seconds on the drive's clock, x, y, yaw of the box centre; N = 1 for one that stands still
    throughout the drive.
    """

    kind: str  # VEHICLE, PEDESTRIAN, BICYCLE, TRAFFIC_CONE, BARRIER, ...
    length: float
    width: float
    height: float
    poses: NDArray[np.float64]


@dataclass(frozen=True)
class RoadMap:
    """Vector truth of one place, and one drive through it.

    dividers, boundaries: polylines. crossings: closed rings without the repeated first vertex.
    centrelines: lane centres in driving direction. sd_roads: coarse road lines as a navigation map has them.
    ego: N x 4 time in seconds, x, y, yaw at 10 Hz, strictly rising times.
    labelled: the classes whose truth is known; the others must be masked in any score.
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
