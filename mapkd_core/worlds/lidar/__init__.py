# SPDX-License-Identifier: Apache-2.0
"""A 32-beam spinning LiDAR in a rendered world: sweeps by casting rays, and several sweeps joined."""

from mapkd_core.worlds.lidar.join import Sweep, join_sweeps
from mapkd_core.worlds.lidar.sweep import Lidar

__all__ = ["Lidar", "Sweep", "join_sweeps"]
