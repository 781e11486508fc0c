# SPDX-License-Identifier: Apache-2.0
"""A map prior for teachers, SD or HD: the newest VectorMap of its topic, moved into the ego frame of each picture."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import Matrix, inverse
from mapkd_core.types import SD_CLASS, MapElement
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.diagnostics import OK, WARN, Level
from mapkd_ros.map_messages import elements
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.pose_track import PoseAt, PoseUnavailableError
from mapkd_ros.transforms import TransformBuffer

# A whole town may come in one message: what is farther than any grid is left out before it is moved.
_REACH_M = 150.0


class _Prior(NamedTuple):
    """low, high: N x 2, the corners of each element's box, in the message's frame."""

    elements: tuple[MapElement, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    frame_id: str
    stamp_ns: int


class PriorInput:
    """kind: sd or hd. In an SD prior every line is a road, whatever its class says.

    The message may be of the base frame at its stamp, of the odometry's frame, or of any frame that /tf knows. The
    executor adds, the worker asks.
    counts: received, used, unplaced.
    """

    def __init__(self, kind: str, transforms: TransformBuffer, base_frame: str, odometry: OdometryTrack) -> None:
        self.kind, self._transforms, self._odometry = kind, transforms, odometry
        self._base_frame = base_frame.lstrip("/")
        self._new: deque[Any] = deque(maxlen=1)  # the executor puts, the worker takes
        self._prior: _Prior | None = None
        self._fault = "no map yet"
        self.counts: Counter[str] = Counter()

    def add(self, message: Any) -> None:
        """Takes the place of the last one, from the next frame on: to read a town takes a tenth of a second."""
        self.counts["received"] += 1
        self._new.append(message)

    def elements_at(self, at_ns: int, pose_at: PoseAt) -> tuple[MapElement, ...] | None:
        """In the ego frame at `at_ns`; None where there is no map, or nobody knows where it lies."""
        if self._new:
            self._prior = _read(self._new.pop(), self.kind)
        if (prior := self._prior) is None:
            return None
        try:
            ego_T_map = self._ego_T_map(prior, at_ns, pose_at)
        except PoseUnavailableError as error:
            self.counts["unplaced"] += 1
            self._fault = f"map not used: {error}"
            return None
        self._fault = ""
        self.counts["used"] += 1
        here = inverse(ego_T_map)[:2, 3]
        is_near = ((prior.low < here + _REACH_M) & (prior.high > here - _REACH_M)).all(1)
        return tuple(
            replace(e, vertices_m=_moved(ego_T_map, e.vertices_m))
            for e, near in zip(prior.elements, is_near, strict=True)
            if near
        )

    def state(self) -> tuple[Level, str, dict[str, Any]]:
        """Level, message and values for /diagnostics."""
        message = self._fault or f"active, {len(self._prior.elements) if self._prior else 0} elements"
        values = {key: self.counts[key] for key in ("received", "used", "unplaced")}
        return (WARN if self._fault else OK), message, values

    def _ego_T_map(self, prior: _Prior, at_ns: int, pose_at: PoseAt) -> Matrix:
        now = pose_at(at_ns)
        if prior.frame_id == self._base_frame:
            then = pose_at(prior.stamp_ns)
            if now is None or then is None:
                raise PoseUnavailableError(f"it is of {self._base_frame} at its stamp, and no pose of then is at hand")
            return inverse(now) @ then
        if prior.frame_id == self._odometry.frame and now is not None:
            return inverse(now)
        return self._transforms.lookup(self._base_frame, prior.frame_id, at_ns, 150_000_000)


def _read(message: Any, kind: str) -> _Prior:
    found = tuple(e for e in elements(message) if len(e.vertices_m) and np.isfinite(e.vertices_m).all())
    if kind == "sd":
        found = tuple(replace(element, class_name=SD_CLASS) for element in found)
    low, high = (np.array([of(e.vertices_m, 0) for e in found]).reshape(-1, 2) for of in (np.min, np.max))
    return _Prior(found, low, high, message.header.frame_id.lstrip("/"), stamp_ns(message.header.stamp))


def _moved(ego_T_map: Matrix, vertices: NDArray[np.floating]) -> NDArray[np.float64]:
    """V x 2: the ground is taken for level between the two."""
    result: NDArray[np.float64] = vertices @ ego_T_map[:2, :2].T + ego_T_map[:2, 3]
    return result
