# SPDX-License-Identifier: Apache-2.0
"""Compares published maps with the truth of the bag, matched by stamp, and writes a JSON report when it ends.

Topics (relative): in map/vector_map, map/semantic_map, map/processing_time, truth/vector_map and the anchor camera's
camera_info, which counts the frames that went in and starts the clock of the latency (wall time, arrival to arrival).
map/layer_info shows that the map node is connected: then ~/ready is offered.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd.msg import BevLayerInfo, BevSemanticMap, ProcessingTime, VectorMap
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from mapkd_core.writing import write_json
from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.parameters import declare, parameter
from mapkd_ros.published_maps import PublishedMaps
from mapkd_ros.readiness import Readiness
from mapkd_ros.spinning import run


@dataclass(frozen=True)
class EvaluationParameters:
    report: str = parameter("metrics.json", "JSON file to write")
    anchor: str = parameter("CAM_FRONT", "camera whose frames count as frames in")
    end_after_idle_s: float = parameter(
        3.0,
        "write the report and end when neither frame nor map came for so long after the first [s]; 0 = never",
        0.0,
        3600.0,
    )


class EvaluationNode(Node):
    """Only stores messages while they come; scores at the end, when it disturbs nobody."""

    def __init__(self, **options: Any) -> None:
        super().__init__("evaluation_node", automatically_declare_parameters_from_overrides=True, **options)
        self._settings = settings = declare(self, EvaluationParameters)
        self._report_path = Path(settings.report).expanduser()
        if not settings.report or self._report_path.is_dir():
            raise ValueError(f"parameter report: {settings.report!r} is not a file to write")
        self._maps = PublishedMaps()
        self._last_s: float | None = None
        self.create_subscription(CameraInfo, f"{settings.anchor.lower()}/camera_info", self._on_anchor, qos.LOSSLESS)
        self.create_subscription(VectorMap, "truth/vector_map", self._maps.add_truth, qos.LOSSLESS)
        self.create_subscription(VectorMap, "map/vector_map", self._on_vectors, qos.LOSSLESS)
        self.create_subscription(BevSemanticMap, "map/semantic_map", self._maps.add_semantic, qos.LOSSLESS)
        self.create_subscription(ProcessingTime, "map/processing_time", self._maps.add_times, qos.LOSSLESS)
        # The latched legend comes as soon as the map node is connected.
        self._readiness = Readiness(self)
        self.create_subscription(BevLayerInfo, "map/layer_info", self._readiness.announce, qos.LATCHED)
        self.create_timer(0.2, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Score and write the report, whole or not at all."""
        report = self._maps.report()
        write_json(self._report_path, report)
        if report["maps_not_scored"]:
            why = report["not_scored_because"]
            self.get_logger().warning(f"{report['maps_not_scored']} maps were not scored, the last because {why}")
        self.get_logger().info(
            f"{report['frames_out']} maps for {report['frames_in']} frames, mIoU {report.get('miou')}, "
            f"mAP {report.get('map')}, latency {report['latency_ms']}: {self._report_path}"
        )

    def _on_anchor(self, message: CameraInfo) -> None:
        self._last_s = time.monotonic()
        self._maps.add_anchor(stamp_ns(message.header.stamp), self._last_s)

    def _on_vectors(self, message: VectorMap) -> None:
        self._last_s = time.monotonic()
        self._maps.add_vectors(message, self._last_s)

    def _watch(self) -> None:
        limit_s = self._settings.end_after_idle_s
        if limit_s and self._last_s is not None and time.monotonic() - self._last_s > limit_s:
            raise SystemExit(0)


def main(args: list[str] | None = None) -> int:
    """Entry point of `ros2 run mapkd evaluation_node`."""
    return run(EvaluationNode, args)


if __name__ == "__main__":
    sys.exit(main())
