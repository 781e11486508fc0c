# SPDX-License-Identifier: Apache-2.0
"""Stand-in of sensor_msgs_py.point_cloud2: reading and making PointCloud2 through numpy.

Written from the public API documentation. environment/setup.sh puts it into the overlay only where the real package is
absent. Points are structured arrays with one named column per field; anything else of the real module answers with an
AttributeError that says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

__all__ = ["create_cloud", "create_cloud_xyz32", "dtype_from_fields", "read_points", "read_points_numpy"]

_DTYPES = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[Any] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Structured array of the points, of shape (N,), or (height, width) with `reshape_organized_cloud`.

    field_names: which fields, in this order; all by default. skip_nans: leave points with a NaN out.
    Raises ValueError for `uvs`, which the stand-in lacks, and AssertionError for a field that the cloud lacks.
    """
    if uvs is not None:
        raise ValueError("read_points(uvs=...) is not part of mapkd's stand-in; install ROS 2's sensor_msgs_py")
    points = _all_points(cloud)
    if field_names is not None:
        absent = [name for name in field_names if name not in points.dtype.names]
        if absent:
            raise AssertionError(f"the cloud has no fields {absent}; it has {list(points.dtype.names)}")
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        floats = [points[name] for name in points.dtype.names if points.dtype[name].kind == "f"]
        points = points[~np.isnan(floats).any(axis=0)] if floats else points
    return points.reshape(cloud.height, cloud.width) if reshape_organized_cloud and cloud.height > 1 else points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[Any] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Plain array (N, fields), or (height, width, fields).

    Raises AssertionError unless all fields of the cloud, read or not, are of one type, as older releases demand.
    """
    if len({field.datatype for field in cloud.fields}) > 1:
        raise AssertionError("fields of different types do not fit into one plain array; use read_points()")
    points = read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    return np.stack([points[name] for name in points.dtype.names], axis=-1)


def create_cloud(header: Header, fields: Sequence[PointField], points: Any) -> PointCloud2:
    """PointCloud2 of `points`: a structured array of the fields' dtype, or anything of shape (N, fields).

    One more leading axis makes an organized cloud of (height, width). Raises AssertionError where points and fields
    do not fit.
    """
    dtype = dtype_from_fields(fields)
    points = np.asarray(points)
    if points.dtype.names is None:
        if points.shape[-1] != len(dtype.names):
            raise AssertionError(f"points of shape {points.shape} do not fit the fields {dtype.names}")
        points = np.rec.fromarrays(np.moveaxis(points, -1, 0), dtype=dtype)
    if points.dtype != dtype:
        raise AssertionError(f"points of type {points.dtype} do not fit the fields' {dtype}")
    height, width = points.shape if points.ndim == 2 else (1, len(points))
    cloud = PointCloud2(header=header, height=height, width=width, fields=list(fields), is_dense=False)
    cloud.is_bigendian = sys.byteorder == "big"
    cloud.point_step, cloud.row_step = dtype.itemsize, dtype.itemsize * width
    cloud.data.frombytes(points.tobytes())
    return cloud


def create_cloud_xyz32(header: Header, points: Any) -> PointCloud2:
    """PointCloud2 with the float32 fields x, y, z of `points` (N, 3)."""
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate("xyz")]
    return create_cloud(header, fields, points)


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """The numpy type of one point; a field with count > 1 becomes columns name_0, name_1, ..."""
    names, formats, offsets = [], [], []
    for index, field in enumerate(fields):
        dtype = _DTYPES[field.datatype]
        count = max(field.count, 1)
        for part in range(count):
            name = field.name or f"unnamed_field_{index}"
            names.append(name if count == 1 else f"{name}_{part}")
            formats.append(dtype)
            offsets.append(field.offset + part * dtype.itemsize)
    layout: dict[str, Any] = {"names": names, "formats": formats, "offsets": offsets}
    if point_step is not None:
        layout["itemsize"] = point_step
    return np.dtype(layout)


def _all_points(cloud: PointCloud2) -> np.ndarray:
    """(N,) structured view of the message's bytes, row padding left out."""
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    shape, strides = (cloud.height, cloud.width), (cloud.row_step, cloud.point_step)
    points = np.ndarray(shape, dtype, buffer=cloud.data, strides=strides).reshape(-1)
    if cloud.is_bigendian != (sys.byteorder != "little"):
        points = points.byteswap()
    return points


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"sensor_msgs_py.point_cloud2.{name}: this is mapkd's stand-in, which has {', '.join(__all__)} only; "
        "install ROS 2's sensor_msgs_py for the rest"
    )
