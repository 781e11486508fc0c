# SPDX-License-Identifier: Apache-2.0
"""What the map node publishes of a map: topics map/semantic_map, map/vector_map, map/input_status and others."""

from __future__ import annotations

import time
from collections.abc import Mapping

from mapkd.msg import BevLayerInfo, BevSemanticMap, InputStatus, ProcessingTime, VectorMap
from rclpy.node import Node

from mapkd_core.types import LocalMap
from mapkd_ros import qos
from mapkd_ros.map_messages import header, layer_info, processing_time, semantic_map, vector_map
from mapkd_ros.qos_events import asked, destroy


class MapOutputs:
    """Publishers of a configured node; `close` frees them. What goes out bears the capture time, never now()."""

    def __init__(self, node: Node, classes: tuple[str, ...], base_frame: str) -> None:
        self._node, self._base_frame = node, base_frame.lstrip("/")  # with which tf2 refuses it
        self._semantic = asked(node, node.create_publisher(BevSemanticMap, "map/semantic_map", qos.OUTPUT))
        self._vectors = asked(node, node.create_publisher(VectorMap, "map/vector_map", qos.OUTPUT))
        self._status = asked(node, node.create_publisher(InputStatus, "map/input_status", qos.OUTPUT))
        self._times = asked(node, node.create_publisher(ProcessingTime, "map/processing_time", qos.OUTPUT))
        self._legend = asked(node, node.create_publisher(BevLayerInfo, "map/layer_info", qos.LATCHED))
        self._legend.publish(layer_info(classes, header(node.get_clock().now().nanoseconds, "")))

    def close(self) -> None:
        for publisher in (self._semantic, self._vectors, self._status, self._times, self._legend):
            destroy(self._node, publisher)

    def status(self, status: InputStatus) -> None:
        """How each camera fared where no map comes of it."""
        self._status.publish(status)

    def lines(self, local_map: LocalMap, at_ns: int, status: InputStatus, model_id: str) -> Spent:
        """The polylines of a map, at once: nobody who wants them waits for the raster. What is spent so far."""
        spent = Spent()
        vectors = vector_map(local_map, header(at_ns, self._base_frame), status, model_id)
        spent.on("messages")
        self._vectors.publish(vectors)
        self._status.publish(status)
        spent.on("publish")
        return spent

    def rest(
        self, local_map: LocalMap, at_ns: int, status: InputStatus, times_ms: Mapping[str, float], spent: Spent,
        with_raster: bool = True,
    ) -> tuple[dict[str, float], float]:  # fmt: skip
        """What follows the lines; stage times with those of here, and the latency from capture on, in ms.

        with_raster: false leaves map/semantic_map out. The latency is negative for a stamp of the future.
        """
        head = header(at_ns, self._base_frame)
        if local_map.probability is not None and with_raster:
            spent.begin()
            raster = semantic_map(local_map, head, status)
            spent.on("messages")
            self._semantic.publish(raster)
            spent.on("publish")
        spent_ms = {**times_ms, **spent.ms}
        latency_ms = (self._node.get_clock().now().nanoseconds - at_ns) / 1e6
        # Simulated clocks tick coarsely and may lag behind the newest image: never negative.
        self._times.publish(processing_time(spent_ms, head, max(0.0, latency_ms)))
        return spent_ms, latency_ms


class Spent:
    """Milliseconds since the last look, added up by what they were spent on."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self.begin()

    def begin(self) -> None:
        """What was done until now is nobody's."""
        self._since_s = time.monotonic()

    def on(self, what: str) -> None:
        now_s = time.monotonic()
        self.ms[what] = self.ms.get(what, 0.0) + 1e3 * (now_s - self._since_s)
        self._since_s = now_s
