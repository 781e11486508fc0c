# SPDX-License-Identifier: Apache-2.0
"""Poses over time and the tree of frames, from what a bag says on /tf, /tf_static and /odom."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mapkd_core.geometry import Matrix, interpolate, inverse

MAX_EXTRAPOLATION_NS = 100_000_000  # a vehicle at 20 m/s that brakes hard strays 5 cm from its old velocity by then


class PoseTrack:
    """a_T_b over time: straight and evenly turning between samples, carried on a little beyond both ends."""

    def __init__(self, samples: Mapping[int, Matrix]) -> None:
        """samples: stamp in ns -> 4x4; at least one."""
        if not samples:
            raise ValueError("a pose track needs at least one pose")
        self.stamps_ns = np.array(sorted(samples), np.int64)
        self.matrices = np.stack([samples[int(stamp)] for stamp in self.stamps_ns])

    @property
    def deviation(self) -> float:
        """Largest difference of any matrix entry from the first sample: 0 for a fixed mounting."""
        return float(np.abs(self.matrices - self.matrices[0]).max())

    def at(self, stamp_ns: int) -> Matrix | None:
        """The pose at `stamp_ns`; None further than MAX_EXTRAPOLATION_NS from the samples."""
        stamps = self.stamps_ns
        if not stamps[0] - MAX_EXTRAPOLATION_NS <= stamp_ns <= stamps[-1] + MAX_EXTRAPOLATION_NS:
            return None
        if len(stamps) == 1:
            return self.matrices[0]
        after = int(np.clip(np.searchsorted(stamps, stamp_ns), 1, len(stamps) - 1))
        if stamps[after] == stamp_ns:
            return self.matrices[after]
        share = float(stamp_ns - stamps[after - 1]) / float(stamps[after] - stamps[after - 1])
        return interpolate(self.matrices[after - 1], self.matrices[after], share)


class FrameTree:
    """Who is mounted on whom: child frame -> (parent frame, parent_T_child over time)."""

    def __init__(self, samples: Mapping[tuple[str, str], Mapping[int, Matrix]]) -> None:
        """samples: (parent, child) -> stamp in ns -> parent_T_child. Leading slashes of tf 1 are dropped."""
        self._edges: dict[str, tuple[str, PoseTrack]] = {
            child.lstrip("/"): (parent.lstrip("/"), PoseTrack(poses)) for (parent, child), poses in samples.items()
        }

    def __contains__(self, frame: str) -> bool:
        return frame.lstrip("/") in self._edges

    def parent(self, frame: str) -> tuple[str, PoseTrack] | None:
        """(parent, parent_T_frame over time), None for a root or an unknown frame."""
        return self._edges.get(frame.lstrip("/"))

    def mounting(self, base: str, frame: str) -> Matrix | None:
        """base_T_frame, both on one vehicle; None where the tree does not connect them.

        Edges above their lowest common ancestor (the vehicle's own motion) do not matter.
        """
        up_from_base, up_from_frame = self._path(base), self._path(frame)
        common = next((name for name in up_from_frame if name in up_from_base), None)
        if common is None:
            return None
        return inverse(up_from_base[common]) @ up_from_frame[common]

    def moving(self, base: str, frame: str, tolerance: float = 1e-3) -> bool:
        """Whether the mounting changes over time, as that of a pan-tilt unit or of a vehicle without `base`."""
        base_path, current = self._path(base), frame.lstrip("/")
        while current not in base_path and current in self._edges:
            current, track = self._edges[current]
            if track.deviation > tolerance:
                return True
        return False

    def _path(self, frame: str) -> dict[str, Matrix]:
        """Ancestor -> ancestor_T_frame, from the frame itself up to its root."""
        current = frame.lstrip("/")
        path = {current: np.eye(4)}
        matrix = np.eye(4)
        while current in self._edges:
            current, track = self._edges[current]
            matrix = track.matrices[0] @ matrix
            if current in path:
                raise ValueError(f"tf has a loop through {current!r}")
            path[current] = matrix
        return path
