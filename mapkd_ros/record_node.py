# SPDX-License-Identifier: Apache-2.0
"""Records what the map node publishes into an MCAP bag, byte for byte, stamped with this node's clock.

Topics (relative): in map/semantic_map, map/vector_map, map/local, map/input_status, map/processing_time,
map/layer_info, /diagnostics. Ends by itself when nothing came for `end_after_idle_s`, if that is set.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import BevLayerInfo, BevSemanticMap, InputStatus, ProcessingTime, VectorMap
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from mapkd_ros import qos
from mapkd_ros.parameters import declare, parameter
from mapkd_ros.readiness import Readiness
from mapkd_ros.recorder import Recorder
from mapkd_ros.spinning import run

_TOPICS = {
    "map/semantic_map": BevSemanticMap,
    "map/vector_map": VectorMap,
    "map/local": VectorMap,
    "map/input_status": InputStatus,
    "map/processing_time": ProcessingTime,
    "map/layer_info": BevLayerInfo,
    "/diagnostics": DiagnosticArray,
}
_LATCHED = ("map/layer_info",)


@dataclass(frozen=True)
class RecordParameters:
    bag: str = parameter("", "bag to write: a folder that does not exist yet")
    end_after_idle_s: float = parameter(
        0.0, "end when no map came for so long after the first [s]; 0 = never", 0.0, 3600.0
    )


class RecordNode(Node):
    def __init__(self, **options: Any) -> None:
        super().__init__("record_node", automatically_declare_parameters_from_overrides=True, **options)
        self._settings = settings = declare(self, RecordParameters)
        if not settings.bag:
            raise ValueError("parameter bag is empty: give the path of the bag to write")
        names = {topic: self.resolve_topic_name(topic) for topic in _TOPICS}
        types = {
            names[topic]: f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}" for topic, kind in _TOPICS.items()
        }
        latched = tuple(names[topic] for topic in _LATCHED)
        self._recorder = Recorder(Path(settings.bag).expanduser(), types, latched)
        self._last_map_s: float | None = None
        self._readiness = Readiness(self)
        for topic, kind in _TOPICS.items():
            profile = qos.LATCHED if topic in _LATCHED else qos.LOSSLESS
            take = lambda cdr, name=names[topic]: self._take(name, cdr)  # noqa: E731 - one name per topic
            self.create_subscription(kind, topic, take, profile, raw=True)
        self.create_timer(0.2, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        self._recorder.close()
        counts = ", ".join(f"{topic} {count}" for topic, count in self._recorder.counts.items()) or "nothing"
        self.get_logger().info(f"recorded into {self._settings.bag}: {counts}")

    def _take(self, topic: str, cdr: bytes) -> None:
        # The latched legend is the first to come once the map node is connected.
        self._readiness.announce()
        if not topic.endswith("diagnostics"):
            self._last_map_s = time.monotonic()
        try:
            self._recorder.write(topic, self.get_clock().now().nanoseconds, cdr)
        except OSError as error:
            self.get_logger().fatal(f"cannot write {self._settings.bag}: {error}; free some space and record again")
            raise SystemExit(1) from error

    def _watch(self) -> None:
        limit_s, last_s = self._settings.end_after_idle_s, self._last_map_s
        if limit_s and last_s is not None and time.monotonic() - last_s > limit_s:
            raise SystemExit(0)


def main(args: list[str] | None = None) -> int:
    """Entry point of `ros2 run mapkd record_node`."""
    return run(RecordNode, args)


if __name__ == "__main__":
    sys.exit(main())
