# SPDX-License-Identifier: Apache-2.0
"""mapkd's maps -> what RViz shows: line markers, label and colour image, occupancy grids."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, Quaternion
from mapkd.msg import BevSemanticMap, MapPolyline, VectorMap
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mapkd_ros.map_messages import CLASS_IDS, CLASS_NAMES, class_colour, probability_layers

_UNOBSERVED = BevSemanticMap.LABEL_UNOBSERVED


@dataclass(frozen=True)
class MarkerStyle:
    """Lines of `width_m` at `z_m` over the ground (against z-fighting), gone `lifetime_s` after the last map."""

    width_m: float = 0.15
    z_m: float = 0.05
    lifetime_s: float = 1.0
    min_confidence: float = 0.0
    opacity: float = 1.0


def marker_array(message: VectorMap, style: MarkerStyle, namespace: str = "map") -> MarkerArray:
    """One line list per class with a fixed id; a class without elements is deleted, so an empty map clears all."""
    return MarkerArray(markers=[_marker(message, class_id, style, namespace) for class_id in CLASS_NAMES])


def label_array(message: BevSemanticMap, threshold: float = 0.5) -> np.ndarray:
    """Y X uint8: 0 background, class id of MapPolyline, 255 where no camera looks. Rows along +y, columns along +x."""
    if message.encoding == BevSemanticMap.ENCODING_LABEL:
        return np.frombuffer(message.data, np.uint8).reshape(message.info.height, message.info.width)
    probability = probability_layers(message)
    best = probability.argmax(0)
    ids = np.array([CLASS_IDS.get(name, MapPolyline.CLASS_UNKNOWN) for name in message.layers], np.uint8)
    strongest = np.take_along_axis(probability, best[None], 0)[0]
    labels = np.where(strongest >= threshold * 255, ids[best], 0).astype(np.uint8)
    if len(message.observed):
        labels[np.frombuffer(message.observed, np.uint8).reshape(labels.shape) == 0] = _UNOBSERVED
    return labels


def label_image(message: BevSemanticMap, labels: np.ndarray) -> Image:
    """mono8, cell order of the map: row 0 is the right edge, column 0 the rear."""
    return _image(message, labels, "mono8")


def colour_image(message: BevSemanticMap, labels: np.ndarray) -> Image:
    """rgb8 for looking at: x forward is up, y left is left."""
    palette = np.zeros((256, 3), np.uint8)
    palette[_UNOBSERVED] = 60
    for name, class_id in CLASS_IDS.items():
        palette[class_id] = np.round(255 * np.array(class_colour(name)))
    return _image(message, palette[labels.T[::-1, ::-1]], "rgb8")


def occupancy_grid(message: BevSemanticMap, layer: str) -> OccupancyGrid:
    """One layer as 0..100, -1 where no camera looks; ValueError for a layer that the map lacks."""
    if layer not in message.layers:
        raise ValueError(f"layer {layer!r} is not in the map; it has {', '.join(message.layers)}")
    probability = probability_layers(message)[list(message.layers).index(layer)]
    percent = (probability.astype(np.uint16) * 100 // 255).astype(np.int8)
    if len(message.observed):
        percent[np.frombuffer(message.observed, np.uint8).reshape(percent.shape) == 0] = -1
    values = array("b")
    values.frombytes(percent.tobytes())
    return OccupancyGrid(header=message.header, info=message.info, data=values)


def _marker(message: VectorMap, class_id: int, style: MarkerStyle, namespace: str) -> Marker:
    marker = Marker(header=message.header, ns=namespace, id=class_id, type=Marker.LINE_LIST, frame_locked=True)
    lines = [
        line for line in message.polylines if line.class_id == class_id and line.confidence >= style.min_confidence
    ]
    points = [point for line in lines for pair in _segments(line, style.z_m) for point in pair]
    if not points:
        marker.action = Marker.DELETE
        return marker
    marker.action, marker.scale.x, marker.points = Marker.ADD, style.width_m, points
    marker.pose = Pose(orientation=Quaternion(w=1.0))
    red, green, blue = class_colour(CLASS_NAMES[class_id])
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=style.opacity)
    seconds = int(style.lifetime_s)
    marker.lifetime = Duration(sec=seconds, nanosec=int(1e9 * (style.lifetime_s - seconds)))
    return marker


def _segments(line: MapPolyline, z_m: float) -> Iterator[tuple[Point, Point]]:
    points = [Point(x=point.x, y=point.y, z=point.z + z_m) for point in line.points]
    if line.is_closed and len(points) > 2:
        points.append(points[0])
    return pairwise(points)


def _image(message: Any, pixels: np.ndarray, encoding: str) -> Image:
    data = array("B")
    data.frombytes(np.ascontiguousarray(pixels).tobytes())
    height, width = pixels.shape[:2]
    step = width * (pixels.shape[2] if pixels.ndim > 2 else 1)
    return Image(header=message.header, height=height, width=width, encoding=encoding, step=step, data=data)
