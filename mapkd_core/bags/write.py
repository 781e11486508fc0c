# SPDX-License-Identifier: Apache-2.0
"""Write a drive frame by frame as a rosbag2 MCAP bag with real calibration, TF and truth: any ROS 2 tool plays it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.bag_file import BagFile
from mapkd_core.geometry import Matrix, apply, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Camera, Frame, MapElement

ANCHOR = "CAM_FRONT"


class BagWriter(BagFile):
    """Streams frames into a bag; use as a context manager.

    path: a folder (rosbag2 bag with metadata.yaml), or a file when it ends in .mcap. Must not exist.
    rig: the cameras as mounted. Needed only where cameras have stamps of their own, apart from the frame's: then
        `frame.cameras[i].ego_T_camera` has motion folded in, and the vehicle's pose at that stamp follows from both.
    ego_T_lidar: mounting of the LiDAR; points are written in its frame.
    grid: range of the truth. labelled: the classes the truth speaks about.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        rig: Sequence[Camera] = (),
        ego_T_lidar: Matrix | None = None,
        grid: BevGrid | None = None,
        labelled: Sequence[str] = CLASSES,
        jpeg_quality: int = 90,
    ) -> None:
        super().__init__(path)
        self._rig = {camera.name: camera for camera in rig}
        self._ego_T_lidar = np.eye(4) if ego_T_lidar is None else ego_T_lidar
        self._grid, self._labelled, self._jpeg_quality = grid or BevGrid(), tuple(labelled), jpeg_quality
        self._posed_ns: set[int] = set()
        self._last_ns = -1
        self.frames = 0

    def add(
        self,
        frame: Frame,
        truth: Sequence[MapElement] | None = None,
        *,
        encoded: Mapping[str, bytes] | None = None,
    ) -> None:
        """Append one frame: images, calibration, pose, points, and the truth in the ego frame at `frame.stamp_ns`.

        encoded: camera name -> JPEG or PNG bytes that are written as they are, instead of `image`. A camera without
        either is left out of this frame. Frames must come in the order of their stamps.
        """
        if not frame.cameras:
            raise ValueError(f"frame at {frame.stamp_ns} ns has no camera")
        if frame.stamp_ns <= self._last_ns:
            raise ValueError(f"frame at {frame.stamp_ns} ns is not after the last one at {self._last_ns} ns")
        cameras = [replace(camera, stamp_ns=camera.stamp_ns or frame.stamp_ns) for camera in frame.cameras]
        if not self.frames:
            self._add_static(frame, cameras)
        poses = self._poses(frame, cameras)
        for stamp_ns, pose in sorted(poses.items()):
            if stamp_ns not in self._posed_ns:
                self.add_pose(stamp_ns, pose)
        self._posed_ns = set(poses)
        for camera in sorted(cameras, key=lambda camera: camera.stamp_ns):
            self._add_camera(camera, (encoded or {}).get(camera.name))
        if frame.points is not None:
            points = np.asarray(frame.points, np.float32).copy()
            points[:, :3] = apply(inverse(self._ego_T_lidar), points[:, :3])
            self.add_points(frame.stamp_ns, points)
        if truth is not None:
            self._add_moved_truth(frame, cameras, truth)
        self._last_ns = frame.stamp_ns
        self.frames += 1

    def _add_static(self, frame: Frame, cameras: Sequence[Camera]) -> None:
        for camera in cameras:
            if camera.name not in self._rig and camera.stamp_ns != frame.stamp_ns:
                raise ValueError(
                    f"camera {camera.name} has stamp {camera.stamp_ns}, the frame {frame.stamp_ns}: "
                    "give BagWriter the rig as mounted"
                )
            self._rig.setdefault(camera.name, camera)
        first_ns = min(frame.stamp_ns, *(camera.stamp_ns for camera in cameras))
        self.add_mountings(first_ns, list(self._rig.values()), self._ego_T_lidar)

    def _add_camera(self, camera: Camera, encoded: bytes | None) -> None:
        if encoded is None and camera.image is not None:
            encoded = encode_jpeg(camera.image, self._jpeg_quality)
        if encoded is not None:
            self.add_image(camera, camera.stamp_ns, encoded)

    def _moved(self, frame: Frame, camera: Camera) -> Matrix:
        """ego_T_ego' : the vehicle at the camera's stamp, seen from where it is at the frame's stamp."""
        if camera.name not in self._rig:
            raise ValueError(f"camera {camera.name} was not in the first frame ({', '.join(self._rig)})")
        moved = camera.ego_T_camera @ inverse(self._rig[camera.name].ego_T_camera)
        if camera.stamp_ns == frame.stamp_ns:
            if not np.allclose(moved, np.eye(4), atol=1e-6):
                raise ValueError(f"mounting of {camera.name} changed at {frame.stamp_ns} ns; one bag has one rig")
            return np.eye(4)
        return moved

    def _poses(self, frame: Frame, cameras: Sequence[Camera]) -> dict[int, Matrix]:
        """Stamp -> odom_T_ego at the frame's stamp and at those of the cameras."""
        moved = {camera.stamp_ns: self._moved(frame, camera) for camera in cameras}
        if frame.odom_T_ego is None:
            return {}
        return {frame.stamp_ns: frame.odom_T_ego} | {
            stamp_ns: frame.odom_T_ego @ motion for stamp_ns, motion in moved.items() if stamp_ns != frame.stamp_ns
        }

    def _add_moved_truth(self, frame: Frame, cameras: Sequence[Camera], truth: Sequence[MapElement]) -> None:
        """Truth carries the anchor's stamp, so it is moved into the ego frame of that instant."""
        anchor = next((camera for camera in cameras if camera.name == ANCHOR), cameras[0])
        if anchor.stamp_ns != frame.stamp_ns:
            anchor_T_frame = inverse(self._moved(frame, anchor))
            truth = [replace(e, vertices_m=_apply_to_ground(anchor_T_frame, e.vertices_m)) for e in truth]
        self.add_truth(anchor.stamp_ns, truth, self._grid, self._labelled)


def encode_jpeg(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    """H W 3 RGB -> JPEG bytes; quality 1..100."""
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"image of shape {image.shape} cannot be compressed")
    return encoded.tobytes()


def _apply_to_ground(a_T_b: Matrix, xy_b: NDArray[np.floating]) -> NDArray[np.float64]:
    flat = np.column_stack([xy_b[:, :2], np.zeros(len(xy_b))])
    return apply(a_T_b, flat)[:, :2]
