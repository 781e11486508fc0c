# SPDX-License-Identifier: Apache-2.0
"""Maps -> RViz, in a process of its own so that drawing costs the map node nothing.

Topics (relative): in map/vector_map, map/semantic_map; out map/markers, map/label_image, map/colour_image,
map/occupancy/<layer>. With `truth: true` also truth/vector_map -> truth/markers. How things are drawn may be changed
while the node runs; which topics there are is read once.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from mapkd.msg import BevSemanticMap, VectorMap
from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from mapkd_ros import qos
from mapkd_ros.diagnostics import ThrottledLog
from mapkd_ros.markers import MarkerStyle, colour_image, label_array, label_image, marker_array, occupancy_grid
from mapkd_ros.parameters import declare, parameter, validated
from mapkd_ros.spinning import run


@dataclass(frozen=True)
class MarkerParameters:
    line_width_m: float = parameter(0.15, "width of the lines [m]", 0.01, 5.0, live=True)
    z_offset_m: float = parameter(
        0.05, "height of the lines over the ground, against z-fighting [m]", -5.0, 5.0, live=True
    )
    lifetime_s: float = parameter(
        1.0, "lines disappear so long after the last map [s]; 0 = never", 0.0, 60.0, live=True
    )
    min_confidence: float = parameter(0.0, "elements below it are not drawn", 0.0, 1.0, live=True)
    threshold: float = parameter(0.5, "probability from which a cell gets the label of its class", 0.0, 1.0, live=True)
    occupancy_layers: tuple[str, ...] = parameter(("",), "layers to publish as OccupancyGrid; empty = none")
    truth: bool = parameter(False, "draw truth/vector_map, too")

    def style(self, opacity: float) -> MarkerStyle:
        return MarkerStyle(self.line_width_m, self.z_offset_m, self.lifetime_s, self.min_confidence, opacity)


class MarkerNode(Node):
    """Draws what it gets; a message that cannot be drawn is logged, and the node lives on."""

    def __init__(self, **options: Any) -> None:
        super().__init__("marker_node", automatically_declare_parameters_from_overrides=True, **options)
        self._settings = settings = declare(self, MarkerParameters)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._log = ThrottledLog(self.get_logger())
        self._labels = self.create_publisher(Image, "map/label_image", qos.OUTPUT)
        self._colours = self.create_publisher(Image, "map/colour_image", qos.OUTPUT)
        self._occupancy = {
            layer: self.create_publisher(OccupancyGrid, f"map/occupancy/{layer}", qos.OUTPUT)
            for layer in settings.occupancy_layers
            if layer
        }
        self._draw("map", 1.0)
        if settings.truth:
            self._draw("truth", 0.4)
        self.create_subscription(BevSemanticMap, "map/semantic_map", self._on_semantic_map, qos.NEWEST)

    def _draw(self, source: str, opacity: float) -> None:
        publisher = self.create_publisher(MarkerArray, f"{source}/markers", qos.OUTPUT)
        self.create_subscription(
            VectorMap,
            f"{source}/vector_map",
            lambda message: publisher.publish(marker_array(message, self._settings.style(opacity), source)),
            qos.NEWEST,
        )

    def _on_parameters(self, changed: list[Any]) -> SetParametersResult:
        """All or none of them, from the next map on; those that are read once ROS refuses itself."""
        values = {name: item.value for name, item in self.get_parameters_by_prefix("").items()}
        try:
            self._settings = validated(MarkerParameters, values | {item.name: item.value for item in changed})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _on_semantic_map(self, message: BevSemanticMap) -> None:
        try:
            labels = label_array(message, self._settings.threshold)
            self._labels.publish(label_image(message, labels))
            self._colours.publish(colour_image(message, labels))
            for layer, publisher in self._occupancy.items():
                publisher.publish(occupancy_grid(message, layer))
        except ValueError as error:
            self._log.warning("semantic_map", f"semantic map not drawn: {error}")


def main(args: list[str] | None = None) -> int:
    """Entry point of `ros2 run mapkd marker_node`."""
    return run(MarkerNode, args)


if __name__ == "__main__":
    sys.exit(main())
