# SPDX-License-Identifier: Apache-2.0
"""The sensor that nuScenes drives with, a Velodyne HDL-32E on the roof: its beams, its turn, its mounting.

Beams lie 4/3 degrees apart from -30.67 to +10.67 (data sheet 97-0038); a turn of 50 ms has 1084 columns and goes
clockwise. A sweep is stamped at the end of its turn, and begins behind the left side: in nuScenes the camera times
follow from that direction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import from_euler, transform

RINGS, COLUMNS = 32, 1084
TURN_S = 0.05
RING_STEP = np.radians(41.34 / 31)
ELEVATIONS = np.radians(-30.67) + RING_STEP * np.arange(RINGS)  # ring 0 is the lowest
START_AZIMUTH = np.radians(98.0)  # of the first column in the ego frame, left positive
REACH_M, BLIND_M = 100.0, 0.3
MOUNT = transform(from_euler(0.0, np.radians(1.4), 0.0), (0.95, 0.0, 1.84))  # ego_T_lidar: nose slightly down


def azimuths() -> NDArray[np.float64]:
    """COLUMNS: direction of every column in the ego frame, radians, falling: the sensor turns clockwise."""
    return START_AZIMUTH - 2 * np.pi * (np.arange(COLUMNS) + 0.5) / COLUMNS


def offsets_s() -> NDArray[np.float64]:
    """COLUMNS: when a column fires, seconds relative to the stamp of its sweep: -TURN_S .. 0."""
    return -TURN_S * (1 - (np.arange(COLUMNS) + 0.5) / COLUMNS)


# The roof under the sensor in the ego frame: what it hides is lost, and half of it answers.
_ROOF_X, _ROOF_HALF_WIDTH, _ROOF_Z = (0.03, 1.68), 0.52, 1.50


def own_roof(ego_T_lidar: NDArray[np.float64]) -> NDArray[np.float64]:
    """COLUMNS x RINGS: horizontal distance at which the beam meets the own roof; infinite where it does not."""
    x, y, z = ego_T_lidar[:3, 3]
    if z <= _ROOF_Z:
        return np.full((COLUMNS, RINGS), np.inf)
    azimuth, down = azimuths()[:, None], np.minimum(np.tan(ELEVATIONS), -1e-9)
    reach = (_ROOF_Z - z) / down
    along, across = x + reach * np.cos(azimuth), y + reach * np.sin(azimuth)
    on_roof = (along > _ROOF_X[0]) & (along < _ROOF_X[1]) & (np.abs(across) < _ROOF_HALF_WIDTH)
    return np.where(on_roof, reach, np.inf)
