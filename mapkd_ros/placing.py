# SPDX-License-Identifier: Apache-2.0
"""Where the cameras of a set were when they took their pictures, seen from the ego frame at the set's stamp.

The cameras of a set were exposed some milliseconds apart:
ego(t)_T_camera = inverse(odom_T_ego(t)) odom_T_ego(t_camera) ego_T_camera.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from mapkd_core.geometry import Matrix, inverse
from mapkd_ros.frame_set import FrameSet, Stamped
from mapkd_ros.mount_check import doubt
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.pose_track import PoseAt, PoseUnavailableError
from mapkd_ros.transforms import TransformBuffer

# Odometry at 10 Hz or more may come a little after the images; constant velocity over this is good to centimetres.
_EXTRAPOLATE_NS = 150_000_000

_PoseOf = Callable[[int, int], Matrix]  # (stamp, most that may be extrapolated), both in ns


@dataclass(frozen=True)
class Placed:
    """ego_T_camera: camera -> 4 4, in the order of the set; the others are in `rejected`, with why.

    odom_T_ego: at the set's stamp, None where unknown; odom: the name of its frame. has_ego_motion: odometry covered
    the capture times.
    doubts: camera -> what does not fit about its mount, though it is used.
    """

    ego_T_camera: dict[str, Matrix]
    rejected: dict[str, str]
    odom_T_ego: Matrix | None
    odom: str
    has_ego_motion: bool
    doubts: dict[str, str] = field(default_factory=dict)


class CameraPlacer:
    """odometry wins over the transform odom -> base where both cover a set, which gets its motion from one of them;
    odom is the frame that the odometry is in.

    frame_ids: camera -> frame id in the transform tree, for drivers that leave Image.header.frame_id empty or wrong;
    otherwise the header's is used.
    """

    def __init__(
        self,
        transforms: TransformBuffer,
        odometry: OdometryTrack,
        base_frame: str,
        frame_ids: Mapping[str, str],
    ) -> None:
        self._transforms, self._odometry = transforms, odometry
        self._base_frame, self._frame_ids = base_frame, dict(frame_ids)

    def place(self, frame_set: FrameSet, infos: Mapping[str, Any]) -> Placed:
        """infos: camera -> its CameraInfo. Cameras without one, or without a transform, are rejected."""
        odom = self._odometry.frame
        source, odom_T_ego = self._source(frame_set.stamp_ns)
        placed, rejected, doubts, has_motion = {}, {}, {}, odom_T_ego is not None
        for name, stamped in frame_set.frames.items():
            try:
                if (info := infos.get(name)) is None:
                    raise ValueError("no CameraInfo received yet; is its topic remapped and published?")
                ego_T_camera, text = self._mount(name, stamped, info)
            except (ValueError, PoseUnavailableError) as error:
                rejected[name] = str(error)
                continue
            motion = self._ego_motion(source, odom_T_ego, stamped.stamp_ns, frame_set.stamp_ns)
            has_motion &= motion is not None
            placed[name] = ego_T_camera if motion is None else motion @ ego_T_camera
            if text:
                doubts[name] = text
        return Placed(placed, rejected, odom_T_ego, odom, has_motion, doubts)

    def pose_source(self, stamp_ns: int) -> PoseAt:
        """odom_T_ego over time, all from the source that covers `stamp_ns`: odometry and /tf may differ."""
        source, _ = self._source(stamp_ns)
        return lambda at_ns: _pose_or_none(source, at_ns)

    def _mount(self, name: str, stamped: Stamped, info: Any) -> tuple[Matrix, str]:
        """ego_T_camera of a vehicle that stands, and what does not fit about it."""
        own, of_info = stamped.payload.header.frame_id, info.header.frame_id
        frame_id = self._frame_ids.get(name) or own or of_info
        ego_T_camera = self._transforms.lookup_or_latest(self._base_frame, frame_id, stamped.stamp_ns)
        # Where the user names the frames, those of the headers mean nothing.
        return ego_T_camera, doubt(name, ego_T_camera, *(("", "") if name in self._frame_ids else (own, of_info)))

    def _source(self, stamp_ns: int) -> tuple[_PoseOf, Matrix | None]:
        """The first source of odom_T_ego that covers the stamp, and its pose then; None where there is none."""
        by_transform = partial(self._transforms.lookup, self._odometry.frame, self._base_frame)
        for source in (self._odometry.at, by_transform):
            if (pose := _pose_or_none(source, stamp_ns)) is not None:
                return source, pose
        return by_transform, None

    @staticmethod
    def _ego_motion(source: _PoseOf, odom_T_ego: Matrix | None, camera_ns: int, frame_ns: int) -> Matrix | None:
        """ego(frame)_T_ego(camera); None where unknown."""
        if camera_ns == frame_ns:
            return np.eye(4)
        odom_T_then = _pose_or_none(source, camera_ns) if odom_T_ego is not None else None
        return None if odom_T_then is None else inverse(odom_T_ego) @ odom_T_then


def _pose_or_none(source: _PoseOf, stamp_ns: int) -> Matrix | None:
    try:
        return source(stamp_ns, _EXTRAPOLATE_NS)
    except PoseUnavailableError:
        return None
