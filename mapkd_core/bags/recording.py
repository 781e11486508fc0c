# SPDX-License-Identifier: Apache-2.0
"""A drive that somebody recorded, as a list of captures whose content is read when it is asked for.

What a converter needs and no more: readers of data sets make one of these, convert.py writes it as a bag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Camera

POINTS, TRUTH = "points", "truth"


class Capture(NamedTuple):
    """One thing at one instant.

    source: a camera's name, POINTS or TRUTH. load: gives the image file's bytes, P x 4 or 5 float32 in the LiDAR's
    frame, or map elements in the ego frame of `stamp_ns`; ValueError or FileNotFoundError where it is damaged or gone.
    """

    stamp_ns: int
    source: str
    load: Callable[[], Any]


@dataclass(frozen=True)
class Recording:
    """name: what it is, in words; the same name means the same content. rig: cameras as mounted, without images.

    poses: stamp -> odom_T_ego, at least where something was captured. captures: in the order of their stamps.
    grid, labelled: range of the truth and the classes it speaks about.
    """

    name: str
    rig: tuple[Camera, ...]
    poses: Mapping[int, NDArray[np.float64]]
    captures: tuple[Capture, ...]
    ego_T_lidar: NDArray[np.float64] | None = None
    grid: BevGrid = field(default_factory=BevGrid)
    labelled: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        stamps = [capture.stamp_ns for capture in self.captures]
        if not stamps or stamps != sorted(stamps):
            raise ValueError(f"{self.name}: {len(stamps)} captures, which must be some, in the order of their stamps")
        known = {camera.name for camera in self.rig} | {POINTS, TRUTH}
        if unknown := sorted({capture.source for capture in self.captures} - known):
            raise ValueError(f"{self.name}: captures of {', '.join(unknown)}; the rig is {', '.join(sorted(known))}")

    @property
    def duration_s(self) -> float:
        """From the first capture to the last."""
        return (self.captures[-1].stamp_ns - self.captures[0].stamp_ns) / 1e9
