# SPDX-License-Identifier: Apache-2.0
"""From a set of camera images, their calibration and the transforms to the core's Frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapkd_core.data.encoded_image import encoding_s
from mapkd_core.data.reduced import Fitted, Picture
from mapkd_core.geometry import Matrix
from mapkd_core.types import Camera, Frame
from mapkd_ros.conversions import intrinsics
from mapkd_ros.frame_set import FrameSet
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.placing import CameraPlacer
from mapkd_ros.pose_track import PoseAt
from mapkd_ros.transforms import TransformBuffer


@dataclass(frozen=True)
class AssembledFrame:
    """rejected: camera -> why its image could not be used. has_ego_motion: odometry covered the capture times.

    doubts: camera -> what does not fit about its mount, though it was used. waited_s: for pictures that were still
    being decoded. encoded_s: for what the network makes of the last ones ahead. odom: the frame of frame.odom_T_ego.
    """

    frame: Frame
    rejected: dict[str, str]
    has_ego_motion: bool
    doubts: dict[str, str] = field(default_factory=dict)
    waited_s: float = 0.0
    encoded_s: float = 0.0
    odom: str = "odom"


class FrameAssembler:
    """Makes Frames; keeps no images. odometry, frame_ids: see CameraPlacer.

    expect: is told where the cameras stand before the pictures are waited for, as ego_T_camera 4 4 in their order.
    """

    def __init__(
        self,
        transforms: TransformBuffer,
        odometry: OdometryTrack,
        *,
        base_frame: str = "base_link",
        frame_ids: Mapping[str, str] | None = None,
        is_rectified: bool = False,
        expect: Callable[[Sequence[Matrix]], None] = lambda _: None,
    ) -> None:
        self._placer = CameraPlacer(transforms, odometry, base_frame, frame_ids or {})
        self._is_rectified, self._expect = is_rectified, expect

    def assemble(
        self, frame_set: FrameSet, infos: Mapping[str, Any], picture_of: Callable[[Any], Picture | Fitted]
    ) -> AssembledFrame:
        """infos: camera -> newest CameraInfo. picture_of: payload -> its pixels, may raise ValueError.

        Every camera of the set with a readable image, calibration and transform is in the frame, the others are in
        `rejected`. All that needs no picture is done first, while the last ones are decoded.
        """
        placed = self._placer.place(frame_set, infos)
        self._expect(list(placed.ego_T_camera.values()))
        cameras, rejected, waited_s, encoded_s = [], dict(placed.rejected), 0.0, 0.0
        for name, ego_T_camera in placed.ego_T_camera.items():
            stamped, asked_s = frame_set.frames[name], time.monotonic()
            try:
                picture = picture_of(stamped.payload)
                cameras.append(self._camera(name, stamped.stamp_ns, infos[name], picture, ego_T_camera))
            except ValueError as error:
                rejected[name] = str(error)
            else:
                encoded_s += encoding_s(cameras[-1], asked_s)
            waited_s += time.monotonic() - asked_s
        frame = Frame(tuple(cameras), frame_set.stamp_ns, odom_T_ego=placed.odom_T_ego)
        waited_s = max(0.0, waited_s - encoded_s)
        return AssembledFrame(frame, rejected, placed.has_ego_motion, placed.doubts, waited_s, encoded_s, placed.odom)

    def pose_source(self, stamp_ns: int) -> PoseAt:
        """odom_T_ego over time, all from the source that covers `stamp_ns`: odometry and /tf may differ."""
        return self._placer.pose_source(stamp_ns)

    def _camera(self, name: str, stamp_ns: int, info: Any, picture: Picture | Fitted, ego_T_camera: Matrix) -> Camera:
        width, height = picture.size
        K = intrinsics(info, width, height, self._is_rectified)
        camera = Camera(
            name=name, image=None, K=K, ego_T_camera=ego_T_camera, width=width, height=height, stamp_ns=stamp_ns
        )
        return picture.of(camera)
