# SPDX-License-Identifier: Apache-2.0
"""A map that lasts: the maps of successive frames fused in the odometry frame. No ROS, no torch."""

from mapkd_core.tracking.fusion import FusionOptions, MapFusion
from mapkd_core.tracking.track import TrackedElement

__all__ = ["FusionOptions", "MapFusion", "TrackedElement"]
