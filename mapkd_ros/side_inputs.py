# SPDX-License-Identifier: Apache-2.0
"""What a teacher gets beside the cameras: LiDAR and map priors, each only where its network asks for it.

Topics (relative): lidar_top (PointCloud2), prior/sd_map and prior/hd_map (VectorMap, transient local). One that is late
or missing degrades the map to what is there, and is seen in /diagnostics.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from mapkd.msg import VectorMap
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2

from mapkd_core.types import Frame
from mapkd_ros import qos
from mapkd_ros.diagnostics import status
from mapkd_ros.frames import FrameAssembler
from mapkd_ros.map_inputs import MapInputs
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.prior_input import PriorInput


class SideInputs:
    """modalities: of the network. A student's, camera alone, makes no subscription and costs nothing."""

    def __init__(self, inputs: MapInputs, modalities: Collection[str], settings: MapParameters) -> None:
        base, hear = settings.frames.base, inputs.hear
        self._lidar: Any = None
        self._priors: dict[str, PriorInput] = {}
        if "lidar" in modalities:
            from mapkd_ros.lidar_input import LidarInput  # with the simulated LiDAR's package: not for students

            age_ns = round(settings.lidar.max_age_s * 1e9)
            self._lidar = LidarInput(inputs.transforms, base, settings.lidar.turns, age_ns)
            hear(PointCloud2, "lidar_top", self._lidar.add, qos.images("best_effort", settings.qos.image_depth))
        if "sd" in modalities:
            self._priors["sd"] = PriorInput("sd", inputs.transforms, base, inputs.odometry)
            hear(VectorMap, "prior/sd_map", self._priors["sd"].add, qos.LATCHED)
        if "hd" in modalities:
            self._priors["hd"] = PriorInput("hd", inputs.transforms, base, inputs.odometry)
            hear(VectorMap, "prior/hd_map", self._priors["hd"].add, qos.LATCHED)

    def change(self, settings: MapParameters) -> None:
        """Other limits from the next frame on."""
        if self._lidar is not None:
            self._lidar.turns, self._lidar.max_age_ns = settings.lidar.turns, round(settings.lidar.max_age_s * 1e9)

    def forget(self) -> None:
        """Turns of the past; maps stay."""
        if self._lidar is not None:
            self._lidar.clear()

    def extend(self, frame: Frame, assembler: FrameAssembler) -> Frame:
        """The frame with what is there of points, sd and hd."""
        if self._lidar is None and not self._priors:
            return frame
        pose_at = assembler.pose_source(frame.stamp_ns)
        found: dict[str, Any] = {
            kind: prior.elements_at(frame.stamp_ns, pose_at) for kind, prior in self._priors.items()
        }
        if self._lidar is not None:
            found["points"] = self._lidar.points_at(frame.stamp_ns, pose_at)
        return replace(frame, **found)

    def report(self, node: Node) -> list[DiagnosticStatus]:
        """One status each."""
        inputs = {} if self._lidar is None else {"lidar": self._lidar}
        return [
            status(f"{node.get_name()}: {name}", *told)
            for name, told in [
                *((name, item.state()) for name, item in inputs.items()),
                *((f"{kind} prior", prior.state()) for kind, prior in self._priors.items()),
            ]
        ]
