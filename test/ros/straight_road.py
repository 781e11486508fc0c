# SPDX-License-Identifier: Apache-2.0
"""The map node with a predictor that knows its pose: a divider at y = 2 m of the odometry frame, noisy by 0.2 m."""

from __future__ import annotations

import sys

import numpy as np

from mapkd_core.geometry import apply_planar, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Frame, LocalMap, MapElement
from mapkd_ros.map_node import MapNode
from mapkd_ros.spinning import run


class StraightRoad:
    """Frames without a pose get an empty map."""

    classes = CLASSES
    model_id = "road@1"

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def predict(self, frame: Frame) -> LocalMap:
        elements: tuple[MapElement, ...] = ()
        if frame.odom_T_ego is not None:
            x = frame.odom_T_ego[0, 3] + np.linspace(-30, 30, 31)
            xy = np.stack([x, 2 + self._rng.normal(0, 0.2, len(x))], 1)
            elements = (MapElement("divider", apply_planar(inverse(frame.odom_T_ego), xy), False, 0.9),)
        return LocalMap(BevGrid(), elements, CLASSES, stamp_ns=frame.stamp_ns)


if __name__ == "__main__":
    sys.exit(run(lambda: MapNode(lambda _: StraightRoad()), sys.argv[1:]))
