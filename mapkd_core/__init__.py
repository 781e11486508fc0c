# SPDX-License-Identifier: Apache-2.0
"""mapkd: real-time HD maps from six cameras. Models, distillation, data and evaluation; no ROS in here."""

from mapkd_core.types import Camera, Frame, LocalMap, MapElement

__all__ = ["Camera", "Frame", "LocalMap", "MapElement"]
