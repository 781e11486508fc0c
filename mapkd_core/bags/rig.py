# SPDX-License-Identifier: Apache-2.0
"""How the sensors of a bag are calibrated and mounted: by a calibration file, else by what the bag says."""

from __future__ import annotations

from pathlib import Path

from mapkd_core.bags.dialects import Dialect
from mapkd_core.bags.storage import BagError
from mapkd_core.bags.survey import Survey
from mapkd_core.data.calibration import Calibration, CameraCalibration
from mapkd_core.geometry import Matrix
from mapkd_core.types import Camera


class BagRig:
    """sidecar: content of the calibration file, which goes before what the bag says. path: of the bag, for errors."""

    def __init__(self, path: Path, dialect: Dialect, survey: Survey, sidecar: Calibration, base_frame: str) -> None:
        self._path, self._dialect, self._survey = path, dialect, survey
        self.sidecar, self.base_frame = sidecar, base_frame

    @property
    def missing(self) -> dict[str, str]:
        """Camera -> what is missing or contradictory about its calibration."""
        return {name: reason for name in self._dialect.cameras if (reason := self._problem(name))}

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """The rig as mounted, without images; BagError where any camera's calibration is missing or contradictory."""
        if missing := self.missing:
            listed = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
            raise BagError(
                f"bag {self._path}: {listed}. Give a calibration file with width, height, K and ego_T_camera of "
                "these cameras (--calibration FILE, format in docs/formats.md)"
            )
        return tuple(
            Camera(name, None, found.K, mounted, found.width, found.height)
            for name in self._dialect.cameras
            if (found := self.intrinsics(name)) is not None and (mounted := self.ego_T_camera(name)) is not None
        )

    def intrinsics(self, camera: str) -> CameraCalibration | None:
        return self.sidecar.cameras.get(camera) or self._survey.intrinsics.get(camera)

    def frame_id(self, camera: str) -> str:
        """Frame of the camera's images or of its camera_info; where both are empty, its name as tf knows it."""
        topics, recorded = self._dialect.cameras[camera], self._survey.frame_ids
        if found := recorded.get(topics.image.name) or recorded.get(topics.info or ""):
            return found
        names = (camera.lower(), camera, f"{camera.lower()}_link")
        return next((name for name in names if name in self._survey.tree), names[0])

    def ego_T_camera(self, camera: str) -> Matrix | None:
        """Mounting by calibration file, else by TF; None where neither knows."""
        given = self.sidecar.cameras.get(camera)
        if given is not None and given.ego_T_camera is not None:
            return given.ego_T_camera
        frame_id = self.frame_id(camera)
        if self._survey.tree.moving(self.base_frame, frame_id):
            self._survey.problems[f"tf: mounting of {frame_id} changes over time; the first one is used"] = 1
        return self._survey.tree.mounting(self.base_frame, frame_id)

    def ego_T_lidar(self) -> Matrix | None:
        """Mounting by calibration file, else by TF of the points' frame or of `lidar_top`; None where nobody knows."""
        if self.sidecar.ego_T_lidar is not None:
            return self.sidecar.ego_T_lidar
        for frame_id in (self._survey.frame_ids.get(self._dialect.lidar or "", ""), "lidar_top", "lidar_top_link"):
            if frame_id and (mounted := self._survey.tree.mounting(self.base_frame, frame_id)) is not None:
                return mounted
        return None

    def _problem(self, camera: str) -> str:
        found = self.intrinsics(camera)
        if found is None:
            return self._survey.rejected_intrinsics.get(camera, "no camera_info in the bag")
        size = self._survey.sizes.get(self._dialect.cameras[camera].image.name, (found.width, found.height))
        if size != (found.width, found.height):
            return f"images are {size[0]} x {size[1]}, calibration is for {found.width} x {found.height}"
        if self.ego_T_camera(camera) is None:
            return f"tf does not connect {self.base_frame} and {self.frame_id(camera)}"
        return ""
