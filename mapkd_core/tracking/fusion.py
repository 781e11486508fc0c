# SPDX-License-Identifier: Apache-2.0
"""MapFusion: a map a frame in, one map that lasts out, in the odometry frame."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.tracking.areas import AreaLayer
from mapkd_core.tracking.lines import LineLayer
from mapkd_core.tracking.motion import MotionWatch
from mapkd_core.tracking.options import FusionOptions
from mapkd_core.tracking.track import TrackedElement, Vertices
from mapkd_core.tracking.view import View
from mapkd_core.types import LocalMap

AREA_CLASSES = ("ped_crossing",)

__all__ = ["FusionOptions", "MapFusion"]


class MapFusion:
    """Fuses the elements of successive maps; the same maps and poses give the same result.

    numbers: after `update`, the track of each element of the frame's map in its order, 0 for none. They are never
    given twice, not even after a reset. resets: how often it began anew, by reason.
    """

    def __init__(self, options: FusionOptions | None = None) -> None:
        self.options = options or FusionOptions()
        self.numbers: tuple[int, ...] = ()
        self.resets: Counter[str] = Counter()
        self._last_number = 0
        self._motion = MotionWatch()
        self._layers: dict[tuple[str, bool], LineLayer | AreaLayer] = {}

    def __len__(self) -> int:
        return sum(len(layer.tracks) for layer in self._layers.values())

    def reset(self, reason: str = "asked") -> None:
        """Forget the map."""
        self.resets[reason] += 1
        self._layers.clear()
        self._motion.clear()

    def update(self, local_map: LocalMap, odom_T_ego: ArrayLike) -> tuple[TrackedElement, ...]:
        """One frame: its map, and where the vehicle was at the map's stamp (4x4). Returns `elements()`.

        Begins anew where the stamp goes back or the odometry jumps. Raises ValueError for a pose that is none.
        """
        pose = np.asarray(odom_T_ego, np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[2, 2] < 0.1:
            raise ValueError(f"odom_T_ego = {pose.tolist()}: need a finite 4x4 pose of a vehicle on its wheels")
        if reason := self._motion.jump(local_map.stamp_ns, pose):
            self.reset(reason)
        moved_m = self._motion.step(local_map.stamp_ns, pose)
        options = self.options
        view = View(local_map.grid, local_map.observed, pose, options.sigma_m, options.sigma_per_m)
        groups: dict[tuple[str, bool], list[int]] = {key: [] for key in self._layers}
        for i, element in enumerate(local_map.elements):
            if len(element.vertices_m) > 1 and np.isfinite(element.vertices_m).all():
                is_area = element.is_closed and element.class_name in AREA_CLASSES
                groups.setdefault((element.class_name, is_area), []).append(i)
        numbers = [0] * len(local_map.elements)
        for key in sorted(groups):
            layer = self._layer(key)
            for track in layer.tracks:
                track.vertices.variance += (options.drift * moved_m) ** 2
            found = layer.update([local_map.elements[i] for i in groups[key]], view)
            for i, number in zip(groups[key], found, strict=True):
                numbers[i] = number
        self.numbers = tuple(numbers)
        return self.elements()

    def elements(self) -> tuple[TrackedElement, ...]:
        """What is told after the last map, in the odometry frame, the most confident first (`telling`)."""
        told = [
            TrackedElement(key[0], _with_height(line.vertices), line.is_closed, line.confidence, line.number,
                           np.sqrt(line.vertices.variance))
            for key in sorted(self._layers) for line in self._layers[key].told
        ]  # fmt: skip
        return tuple(sorted(told, key=lambda element: (-element.confidence, element.track)))

    def _layer(self, key: tuple[str, bool]) -> LineLayer | AreaLayer:
        if key not in self._layers:
            self._layers[key] = (AreaLayer if key[1] else LineLayer)(self.options, self._next)
        return self._layers[key]

    def _next(self) -> int:
        self._last_number = self._last_number % 0xFFFFFFFF + 1  # a uint32 in the message, 0 is none
        return self._last_number


def _with_height(v: Vertices) -> NDArray[np.float64]:
    return np.concatenate([v.xy, v.z[:, None]], 1)
