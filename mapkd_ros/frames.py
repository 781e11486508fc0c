# SPDX-License-Identifier: Apache-2.0
"""From a set of camera images, their calibration and the transforms to the core's Frame.

The cameras of a set were exposed some milliseconds apart. Each camera is placed where it was at its own capture time,
seen from the ego frame at the set's stamp: ego(t)_T_camera = inverse(odom_T_ego(t)) odom_T_ego(t_camera) ego_T_camera.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from mapkd_core.data.reduced import Fitted, Picture
from mapkd_core.geometry import Matrix, inverse
from mapkd_core.types import Camera, Frame
from mapkd_ros.conversions import intrinsics
from mapkd_ros.frame_set import FrameSet
from mapkd_ros.mount_check import doubt
from mapkd_ros.pose_track import PoseAt, PoseTrack, PoseUnavailableError
from mapkd_ros.transforms import TransformBuffer

# Odometry at 10 Hz or more may come a little after the images; constant velocity over this is good to centimetres.
_EXTRAPOLATE_NS = 150_000_000

_PoseOf = Callable[[int, int], Matrix]  # (stamp, most that may be extrapolated), both in ns


@dataclass(frozen=True)
class AssembledFrame:
    """rejected: camera -> why its image could not be used. has_ego_motion: odometry covered the capture times.

    doubts: camera -> what does not fit about its mount, though it was used. waited_s: for pictures that were still
    being decoded.
    """

    frame: Frame
    rejected: dict[str, str]
    has_ego_motion: bool
    doubts: dict[str, str] = field(default_factory=dict)
    waited_s: float = 0.0


class FrameAssembler:
    """Makes Frames; keeps no images.

    odometry wins over the transform odom -> base where both cover a set, which gets its motion from one of them alone.
    frame_ids: camera -> frame id in the transform tree, for drivers that leave Image.header.frame_id empty or wrong;
    otherwise the header's is used.
    """

    def __init__(
        self,
        transforms: TransformBuffer,
        odometry: PoseTrack,
        *,
        base_frame: str = "base_link",
        odom_frame: str = "odom",
        frame_ids: Mapping[str, str] | None = None,
        is_rectified: bool = False,
    ) -> None:
        self._transforms, self._odometry = transforms, odometry
        self._base_frame, self._odom_frame = base_frame, odom_frame
        self._frame_ids = dict(frame_ids or {})
        self._is_rectified = is_rectified

    def assemble(
        self, frame_set: FrameSet, infos: Mapping[str, Any], picture_of: Callable[[Any], Picture | Fitted]
    ) -> AssembledFrame:
        """infos: camera -> newest CameraInfo. picture_of: payload -> its pixels, may raise ValueError.

        Every camera of the set with a readable image, calibration and transform is in the frame, the others are in
        `rejected`.
        """
        source, odom_T_ego = self._source(frame_set.stamp_ns)
        cameras, rejected, doubts, has_motion = [], {}, {}, odom_T_ego is not None
        waiting = _Waiting(picture_of)
        for name, stamped in frame_set.frames.items():
            try:
                picture = waiting(stamped.payload)
                motion = self._ego_motion(source, odom_T_ego, stamped.stamp_ns, frame_set.stamp_ns)
                has_motion &= motion is not None
                cameras.append(self._camera(name, stamped, infos.get(name), picture, motion, doubts))
            except (ValueError, PoseUnavailableError) as error:
                rejected[name] = str(error)
        frame = Frame(tuple(cameras), frame_set.stamp_ns, odom_T_ego=odom_T_ego)
        return AssembledFrame(frame, rejected, has_motion, doubts, waiting.seconds)

    def pose_source(self, stamp_ns: int) -> PoseAt:
        """odom_T_ego over time, all from the source that covers `stamp_ns`: odometry and /tf may differ."""
        source, _ = self._source(stamp_ns)
        return lambda at_ns: _pose_or_none(source, at_ns)

    def _camera(
        self,
        name: str,
        stamped: Any,
        info: Any,
        picture: Picture | Fitted,
        motion: Matrix | None,
        doubts: dict[str, str],
    ) -> Camera:
        if info is None:
            raise ValueError("no CameraInfo received yet; is its topic remapped and published?")
        width, height = picture.size
        frame_id = self._frame_ids.get(name) or stamped.payload.header.frame_id or info.header.frame_id
        ego_T_camera = self._transforms.lookup_or_latest(self._base_frame, frame_id, stamped.stamp_ns)
        # Where the user names the frames, those of the headers mean nothing.
        frames = ("", "") if name in self._frame_ids else (stamped.payload.header.frame_id, info.header.frame_id)
        if text := doubt(name, ego_T_camera, *frames):
            doubts[name] = text
        camera = Camera(
            name=name,
            image=None,
            K=intrinsics(info, width, height, self._is_rectified),
            ego_T_camera=ego_T_camera if motion is None else motion @ ego_T_camera,
            width=width,
            height=height,
            stamp_ns=stamped.stamp_ns,
        )
        return picture.of(camera)

    def _source(self, stamp_ns: int) -> tuple[_PoseOf, Matrix | None]:
        """The first source of odom_T_ego that covers the stamp, and its pose then; None where there is none."""
        by_transform = partial(self._transforms.lookup, self._odom_frame, self._base_frame)
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


class _Waiting:
    """picture_of, and the seconds that it took in all."""

    def __init__(self, picture_of: Callable[[Any], Picture | Fitted]) -> None:
        self._picture_of, self.seconds = picture_of, 0.0

    def __call__(self, payload: Any) -> Picture | Fitted:
        begin_s = time.monotonic()
        try:
            return self._picture_of(payload)
        finally:
            self.seconds += time.monotonic() - begin_s


def _pose_or_none(source: _PoseOf, stamp_ns: int) -> Matrix | None:
    try:
        return source(stamp_ns, _EXTRAPOLATE_NS)
    except PoseUnavailableError:
        return None
