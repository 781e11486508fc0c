# SPDX-License-Identifier: Apache-2.0
"""The core's maps <-> mapkd's messages. Arrays go in as array.array: lists and ndarrays cost up to 400 ms (rosidl)."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Point32, Pose
from mapkd.msg import BevLayerInfo, BevSemanticMap, InputStatus, MapPolyline, ProcessingTime, VectorMap
from nav_msgs.msg import MapMetaData
from std_msgs.msg import ColorRGBA, Header

from mapkd_core.grid import BevGrid
from mapkd_core.types import LocalMap, MapElement
from mapkd_ros.frame_set import MISSING, OK, REUSED, TOO_FAR

CLASS_IDS = {
    "divider": MapPolyline.CLASS_DIVIDER,
    "ped_crossing": MapPolyline.CLASS_PED_CROSSING,
    "boundary": MapPolyline.CLASS_BOUNDARY,
    "centerline": MapPolyline.CLASS_CENTERLINE,
    "stop_line": MapPolyline.CLASS_STOP_LINE,
    "road": MapPolyline.CLASS_ROAD,
}
CLASS_NAMES = {class_id: name for name, class_id in CLASS_IDS.items()}

# Red, green, blue 0..1: one colour per class in every display of the project.
CLASS_COLOURS = {
    "divider": (1.0, 0.62, 0.0),
    "ped_crossing": (0.16, 0.62, 1.0),
    "boundary": (0.18, 0.8, 0.25),
    "centerline": (0.7, 0.7, 0.7),
    "stop_line": (0.9, 0.2, 0.2),
    "road": (0.55, 0.45, 0.75),
}

REJECTED = "rejected"
_CAMERA_STATES = {
    OK: InputStatus.CAMERA_OK,
    MISSING: InputStatus.CAMERA_MISSING,
    TOO_FAR: InputStatus.CAMERA_STALE,
    REUSED: InputStatus.CAMERA_REUSED,
    REJECTED: InputStatus.CAMERA_REJECTED,
}


def header(stamp_ns: int, frame_id: str) -> Header:
    """Header of a capture time."""
    return Header(stamp=_split(Time, stamp_ns), frame_id=frame_id)


def input_status(states: Mapping[str, str], offsets_ns: Mapping[str, int], temporal_reset: bool = False) -> InputStatus:
    """states: camera -> ok, missing, too_far, reused or rejected. offsets_ns: capture time - stamp, where used."""
    return InputStatus(
        camera_names=list(states),
        camera_states=array("B", [_CAMERA_STATES[state] for state in states.values()]),
        camera_offsets=[_split(Duration, offsets_ns.get(name, 0)) for name in states],
        temporal_reset=temporal_reset,
    )


def semantic_map(local_map: LocalMap, head: Header, status: InputStatus) -> BevSemanticMap:
    """Probability layers of a map; ValueError for a map of vectors only."""
    if local_map.probability is None:
        raise ValueError("this map has no probability layers: the predictor gives vectors only")
    grid, observed = local_map.grid, local_map.observed
    message = BevSemanticMap(
        header=head,
        info=grid_info(grid),
        encoding=BevSemanticMap.ENCODING_PROBABILITY,
        layers=list(local_map.classes),
        input=status,
    )
    _fill(message.data, local_map.probability)
    if observed is not None:
        _fill(message.observed, observed)
    return message


def vector_map(local_map: LocalMap, head: Header, status: InputStatus, model_id: str) -> VectorMap:
    """Elements of a map, in the order of the map."""
    x_min, y_min, x_max, y_max = map(float, local_map.grid.bounds)
    return VectorMap(
        header=head,
        polylines=[_polyline(element) for element in local_map.elements],
        range_min=Point32(x=x_min, y=y_min, z=0.0),
        range_max=Point32(x=x_max, y=y_max, z=0.0),
        model_id=model_id,
        input=status,
    )


def lasting_map(
    elements: Sequence[MapElement],
    head: Header,
    status: InputStatus,
    model_id: str,
    odom_t_ego: Sequence[float],
    radius_m: float,
) -> VectorMap:
    """Fused elements in the odometry frame. odom_t_ego: where the vehicle is, the middle of the range, metres."""
    x, y, z = map(float, odom_t_ego)
    return VectorMap(
        header=head,
        polylines=[_polyline(element) for element in elements],
        range_min=Point32(x=x - radius_m, y=y - radius_m, z=z),
        range_max=Point32(x=x + radius_m, y=y + radius_m, z=z),
        model_id=model_id,
        input=status,
    )


def processing_time(times_ms: Mapping[str, float], head: Header, pipeline_latency_ms: float) -> ProcessingTime:
    """Stages in the order of the mapping."""
    return ProcessingTime(
        header=head,
        stages=list(times_ms),
        duration_ms=array("f", times_ms.values()),
        pipeline_latency_ms=float(pipeline_latency_ms),
    )


def layer_info(classes: tuple[str, ...], head: Header, threshold: float = 0.5) -> BevLayerInfo:
    """Legend of the layers."""
    colours = [ColorRGBA(**dict(zip("rgb", class_colour(name), strict=True)), a=1.0) for name in classes]
    ids = array("B", [CLASS_IDS.get(name, MapPolyline.CLASS_UNKNOWN) for name in classes])
    thresholds = array("f", [threshold] * len(classes))
    return BevLayerInfo(header=head, names=list(classes), class_ids=ids, colors=colours, thresholds=thresholds)


def class_colour(name: str) -> tuple[float, float, float]:
    """Display colour of a class, magenta for a class without one."""
    return CLASS_COLOURS.get(name, (1.0, 0.0, 1.0))


def elements(message: VectorMap) -> tuple[MapElement, ...]:
    """VectorMap -> elements in metres of its frame; unknown class ids become "unknown"."""
    return tuple(
        MapElement(
            CLASS_NAMES.get(polyline.class_id, "unknown"),
            np.array([(point.x, point.y) for point in polyline.points], np.float64).reshape(-1, 2),
            bool(polyline.is_closed),
            float(polyline.confidence),
        )
        for polyline in message.polylines
    )


def grid_of(message: BevSemanticMap) -> BevGrid:
    """Grid of a semantic map; ValueError for an empty one."""
    x_min, y_min = message.info.origin.position.x, message.info.origin.position.y
    # float32 in the message: 0.15 m comes back as 0.15000000596 and no longer divides the range.
    cell = round(float(message.info.resolution), 6)
    return BevGrid(x_min, x_min + message.info.width * cell, y_min, y_min + message.info.height * cell, cell)


def probability_layers(message: BevSemanticMap) -> np.ndarray:
    """K Y X uint8 view of the layers; ValueError where sizes contradict each other or data are labels."""
    shape = (len(message.layers), message.info.height, message.info.width)
    if message.encoding != BevSemanticMap.ENCODING_PROBABILITY:
        raise ValueError(f"semantic map has encoding {message.encoding}, need ENCODING_PROBABILITY")
    flat = np.frombuffer(message.data, np.uint8)
    if flat.size != np.prod(shape):
        raise ValueError(f"semantic map has {flat.size} bytes, but layers x height x width = {shape}")
    return flat.reshape(shape)


def grid_info(grid: BevGrid) -> MapMetaData:
    """Geometry of a grid for BevSemanticMap and OccupancyGrid."""
    rows, columns = grid.shape
    origin = Pose(position=Point(x=float(grid.x_min), y=float(grid.y_min), z=0.0))
    return MapMetaData(resolution=float(grid.cell), width=columns, height=rows, origin=origin)


def _polyline(element: MapElement) -> MapPolyline:
    # A mapped list of 50 x 20 points is the dearest part of all: local names keep it below a millisecond.
    vertices = np.asarray(element.vertices_m, np.float64)
    heights = vertices[:, 2].tolist() if vertices.shape[1] > 2 else [0.0] * len(vertices)
    stddev_m = getattr(element, "stddev_m", None)
    xs, ys = vertices[:, 0].tolist(), vertices[:, 1].tolist()
    return MapPolyline(
        class_id=CLASS_IDS.get(element.class_name, MapPolyline.CLASS_UNKNOWN),
        confidence=float(element.confidence),
        is_closed=bool(element.is_closed),
        track_id=getattr(element, "track", 0),
        points=[Point32(x=x, y=y, z=z) for x, y, z in zip(xs, ys, heights, strict=True)],
        point_stddev=array("f", () if stddev_m is None else stddev_m),
    )


def _fill(field: array, values: np.ndarray) -> None:
    """Straight into the message's own array: what its constructor is given it would copy."""
    if values.size:
        field.frombytes(np.ascontiguousarray(values).data.cast("B"))


def _split(kind: Any, nanoseconds: int) -> Any:
    seconds, rest = divmod(int(nanoseconds), 1_000_000_000)
    return kind(sec=seconds, nanosec=rest)
