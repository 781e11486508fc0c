# SPDX-License-Identifier: Apache-2.0
"""mapkd: real-time HD maps from six cameras. Models, distillation, data and evaluation; no ROS in here."""

from mapkd_core.types import Camera, Frame, LocalMap, MapElement

__version__ = "0.1.0"  # as in pyproject.toml and package.xml; a test compares them

__all__ = ["Camera", "Frame", "LocalMap", "MapElement", "__version__"]
