# SPDX-License-Identifier: Apache-2.0
"""Core types -> ROS messages as rosbags writes them: pure functions, stamps in nanoseconds, matrices a_T_b."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.typestore import class_ids, make
from mapkd_core.geometry import Matrix, rotation_to_quaternion
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Camera, MapElement

POINT_FIELDS = ("x", "y", "z", "intensity", "ring")
TRUTH = "truth"

_FLOAT32 = 7  # sensor_msgs/PointField.FLOAT32


def time_message(stamp_ns: int) -> Any:
    return make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def header(stamp_ns: int, frame_id: str) -> Any:
    return make("std_msgs/msg/Header", stamp=time_message(stamp_ns), frame_id=frame_id)


def compressed_image(stamp_ns: int, frame_id: str, encoded: bytes) -> Any:
    """JPEG or PNG bytes, untouched; the format is read off the bytes."""
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    pixels = np.frombuffer(encoded, np.uint8)
    return make("sensor_msgs/msg/CompressedImage", header=header(stamp_ns, frame_id), format=kind, data=pixels)


def camera_info(stamp_ns: int, frame_id: str, camera: Camera) -> Any:
    """A rectified pinhole camera: no distortion, R = identity, P = [K | 0]."""
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    K = np.asarray(camera.K, np.float64)
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([K, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def point_cloud(stamp_ns: int, frame_id: str, points: NDArray[np.float32]) -> Any:
    """P x 4 or 5 float32 x y z intensity [ring], metres in `frame_id`."""
    rows = np.ascontiguousarray(points[:, : len(POINT_FIELDS)], "<f4")
    step = 4 * rows.shape[1]
    fields = [
        make("sensor_msgs/msg/PointField", name=name, offset=4 * index, datatype=_FLOAT32, count=1)
        for index, name in enumerate(POINT_FIELDS[: rows.shape[1]])
    ]
    return make(
        "sensor_msgs/msg/PointCloud2",
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(rows),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(rows),
        data=rows.view(np.uint8).ravel(),
        is_dense=bool(np.isfinite(rows).all()),
    )


def odometry(stamp_ns: int, frame_id: str, child_frame_id: str, pose: Matrix) -> Any:
    """frame_id_T_child_frame_id; twist and covariances are unknown and zero."""
    covariance = np.zeros(36)
    position = make("geometry_msgs/msg/Point", **_xyz(pose[:3, 3]))
    zero = make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    twist = make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
    pose_message = make("geometry_msgs/msg/Pose", position=position, orientation=_quaternion(pose))
    return make(
        "nav_msgs/msg/Odometry",
        header=header(stamp_ns, frame_id),
        child_frame_id=child_frame_id,
        pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose_message, covariance=covariance),
        twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=covariance),
    )


def transforms(stamp_ns: int, items: Sequence[tuple[str, str, Matrix]]) -> Any:
    """One TFMessage of (parent, child, parent_T_child)."""
    stamped = []
    for parent, child, matrix in items:
        translation = make("geometry_msgs/msg/Vector3", **_xyz(matrix[:3, 3]))
        moved = make("geometry_msgs/msg/Transform", translation=translation, rotation=_quaternion(matrix))
        stamped.append(
            make(
                "geometry_msgs/msg/TransformStamped",
                header=header(stamp_ns, parent),
                child_frame_id=child,
                transform=moved,
            )
        )
    return make("tf2_msgs/msg/TFMessage", transforms=stamped)


def vector_map(
    stamp_ns: int,
    frame_id: str,
    elements: Sequence[MapElement],
    grid: BevGrid,
    labelled: Sequence[str] = CLASSES,
    source: str = TRUTH,
) -> Any:
    """Truth or a prior as mapkd/msg/VectorMap.

    `model_id` is `source`, "truth" say, or "truth:divider,boundary" where not all is labelled.
    """
    status = make(
        "mapkd/msg/InputStatus",
        camera_names=[],
        camera_states=np.zeros(0, np.uint8),
        camera_offsets=[],
        temporal_reset=False,
    )
    return make(
        "mapkd/msg/VectorMap",
        header=header(stamp_ns, frame_id),
        polylines=[_polyline(element) for element in elements],
        range_min=_point32((grid.x_min, grid.y_min, 0.0)),
        range_max=_point32((grid.x_max, grid.y_max, 0.0)),
        model_id=source if set(CLASSES) <= set(labelled) else f"{source}:{','.join(labelled)}",
        input=status,
    )


def _polyline(element: MapElement) -> Any:
    known = class_ids()
    if element.class_name not in known:
        raise ValueError(f"map element of class {element.class_name!r}; MapPolyline.msg knows {', '.join(known)}")
    return make(
        "mapkd/msg/MapPolyline",
        class_id=known[element.class_name],
        confidence=element.confidence,
        is_closed=bool(element.is_closed),
        track_id=0,
        points=[_point32((x, y, 0.0)) for x, y in np.asarray(element.vertices_m, np.float64)[:, :2]],
        point_stddev=np.zeros(0, np.float32),
    )


def _point32(xyz: Sequence[float]) -> Any:
    return make("geometry_msgs/msg/Point32", **_xyz(xyz))


def _xyz(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    return {axis: float(value) for axis, value in zip("xyz", values)}


def _quaternion(matrix: Matrix) -> Any:
    x, y, z, w = rotation_to_quaternion(matrix[:3, :3])
    return make("geometry_msgs/msg/Quaternion", x=float(x), y=float(y), z=float(z), w=float(w))
