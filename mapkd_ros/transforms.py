# SPDX-License-Identifier: Apache-2.0
"""A small transform buffer fed by /tf and /tf_static (tf2_ros is not at hand on every machine the nodes run on)."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from mapkd_core.geometry import Matrix, inverse, quaternion_to_rotation, transform
from mapkd_ros.pose_track import PoseTrack, PoseUnavailableError


class TransformBuffer:
    """Tree of frames; each child has one parent, static or moving. Frame ids are compared without a leading slash.

    Thread-safe: callbacks write, the worker reads. rejected: transforms refused so far, with the last reason.
    """

    def __init__(self, keep_ns: int = 10_000_000_000) -> None:
        self._keep_ns = keep_ns
        self._edges: dict[str, tuple[str, PoseTrack | Matrix]] = {}
        self._lock = threading.Lock()
        self.rejected = 0
        self.last_rejection = ""

    def add_message(self, message: Any, is_static: bool) -> None:
        """Take a tf2_msgs/TFMessage; a transform that is no rigid motion is counted in `rejected`, not used."""
        for stamped in message.transforms:
            stamp_ns = stamped.header.stamp.sec * 1_000_000_000 + stamped.header.stamp.nanosec
            try:
                parent_T_child = to_matrix(stamped.transform.translation, stamped.transform.rotation)
                self.add(stamped.header.frame_id, stamped.child_frame_id, stamp_ns, parent_T_child, is_static)
            except ValueError as error:
                self.rejected += 1
                self.last_rejection = f"{stamped.header.frame_id} -> {stamped.child_frame_id}: {error}"

    def add(self, parent: str, child: str, stamp_ns: int, parent_T_child: Matrix, is_static: bool = False) -> None:
        """Take one transform; ValueError for empty or equal frame ids."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise ValueError(f"transform from {parent!r} to {child!r}: give two different frame ids")
        with self._lock:
            known = self._edges.get(child)
            if is_static:
                self._edges[child] = (parent, parent_T_child)
                return
            if known is None or known[0] != parent or not isinstance(known[1], PoseTrack):
                known = self._edges[child] = (parent, PoseTrack(self._keep_ns))
            known[1].add(stamp_ns, parent_T_child)

    def lookup(self, target: str, source: str, stamp_ns: int | None, extrapolate_ns: int = 0) -> Matrix:
        """target_T_source at `stamp_ns`; None = the newest of each edge (tf2's time zero).

        Raises PoseUnavailableError.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        with self._lock:
            from_target, from_source = self._path_to_root(target), self._path_to_root(source)
            common = next((frame for frame in from_source if frame in from_target), None)
            if common is None:
                known = ", ".join(sorted({*self._edges, *(parent for parent, _ in self._edges.values())})) or "none"
                raise PoseUnavailableError(f"no transform from {source} to {target}; frames known: {known}")
            common_T_target = self._chain(from_target, common, stamp_ns, extrapolate_ns)
            common_T_source = self._chain(from_source, common, stamp_ns, extrapolate_ns)
        return inverse(common_T_target) @ common_T_source

    def lookup_or_latest(self, target: str, source: str, stamp_ns: int) -> Matrix:
        """For rigid mounts: at `stamp_ns` where known, else the newest at hand. Raises PoseUnavailableError."""
        try:
            return self.lookup(target, source, stamp_ns)
        except PoseUnavailableError:
            return self.lookup(target, source, None)

    def forget_motion(self, base: str) -> None:
        """Forget how `base` moved in the frames above it. Of others, such as mounts told on /tf, the newest stays."""
        with self._lock:
            above = set(self._path_to_root(base.lstrip("/")))
            for child, (_, motion) in list(self._edges.items()):
                if isinstance(motion, PoseTrack):
                    if child in above:
                        del self._edges[child]
                    else:
                        motion.keep_latest()

    def _path_to_root(self, frame: str) -> list[str]:
        path = [frame]
        while path[-1] in self._edges:
            parent = self._edges[path[-1]][0]
            if parent in path:
                raise PoseUnavailableError(f"the transforms form a loop: {' -> '.join([*path, parent])}")
            path.append(parent)
        return path

    def _chain(self, path: list[str], common: str, stamp_ns: int | None, extrapolate_ns: int) -> Matrix:
        """common_T_(first of path), walking up the tree."""
        common_T_frame = np.eye(4)
        for frame in path[: path.index(common)]:
            parent, motion = self._edges[frame]
            try:
                if isinstance(motion, PoseTrack):
                    motion = motion.latest() if stamp_ns is None else motion.at(stamp_ns, extrapolate_ns)
            except PoseUnavailableError as error:
                raise PoseUnavailableError(f"{parent} -> {frame}: {error}") from error
            common_T_frame = motion @ common_T_frame
        return common_T_frame


def to_matrix(translation: Any, rotation: Any) -> Matrix:
    """4x4 from x y z and a quaternion x y z w of any message; ValueError when not finite or not a rotation."""
    position = [float(translation.x), float(translation.y), float(translation.z)]
    if not all(map(math.isfinite, position)):
        raise ValueError(f"translation {position} is not finite")
    return transform(quaternion_to_rotation([rotation.x, rotation.y, rotation.z, rotation.w]), position)
