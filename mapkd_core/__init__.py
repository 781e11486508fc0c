# SPDX-License-Identifier: Apache-2.0
"""mapkd: real-time HD maps from six cameras. Models, distillation, data and evaluation; no ROS in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapkd_core.types import Camera, Frame, LocalMap, MapElement

if TYPE_CHECKING:
    from mapkd_core.mapper import Mapper

__version__ = "0.1.0"  # as in pyproject.toml and package.xml; a test compares them

__all__ = ["Camera", "Frame", "LocalMap", "MapElement", "Mapper", "__version__"]


def __getattr__(name: str) -> Any:
    """`Mapper` on first use: it brings PyTorch, which takes seconds that a command's --help should not."""
    if name == "Mapper":
        from mapkd_core.mapper import Mapper

        return Mapper
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
