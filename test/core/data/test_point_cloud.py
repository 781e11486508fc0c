# SPDX-License-Identifier: Apache-2.0
"""Clouds of any layout are read, and none makes numpy read beyond its bytes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mapkd_core.data.point_cloud import point_columns


def cloud(layout: np.dtype, rows: list[tuple], is_bigendian: bool = False, **changes: object) -> SimpleNamespace:
    """One row of points; the type codes are those of sensor_msgs/PointField."""
    codes = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
    fields = [
        SimpleNamespace(name=name, offset=offset, datatype=codes[kind.str[1:]], count=1)
        for name, (kind, offset) in layout.fields.items()
    ]
    data = np.array(rows, layout).tobytes()
    sizes = {"height": 1, "width": len(rows), "point_step": layout.itemsize, "row_step": len(data)}
    return SimpleNamespace(**{"fields": fields, "is_bigendian": is_bigendian, "data": data} | sizes | changes)


XYZ = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])


def test_names_come_in_the_order_asked_for_whatever_their_types_and_bytes():
    layout = np.dtype(
        {"names": ["z", "t", "x", "y"], "formats": [">f8", ">u4", ">i2", ">f4"], "offsets": [8, 0, 4, 20]}
    )
    message = cloud(layout, [(3.5, 7, -1, 2.0), (6.5, 8, -4, 5.0)], is_bigendian=True)
    np.testing.assert_array_equal(
        point_columns(message, ("x", "y", "z", "ring", "t")), [[-1, 2, 3.5, 0, 7], [-4, 5, 6.5, 0, 8]]
    )


def test_the_padding_of_rows_is_skipped():
    message = cloud(XYZ, [(1, 2, 3), (4, 5, 6)], height=2, width=1, row_step=16)
    message.data = message.data[:12] + b"\xff" * 4 + message.data[12:] + b"\xff" * 4
    np.testing.assert_array_equal(point_columns(message, ("x", "y", "z")), [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("sizes", [{"width": 0, "row_step": 0, "height": 2**32 - 1}, {"height": 0}])
def test_no_points_are_no_rows(sizes):
    assert point_columns(cloud(XYZ, [(1, 2, 3)], data=b"", **sizes), ("x", "y", "z")).shape == (0, 3)


@pytest.mark.parametrize("offset", [1, 2**31 - 4, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_field_outside_its_point_is_refused(offset):
    message = cloud(XYZ, [(1, 2, 3)] * 4)
    message.fields[0].offset = offset + 8
    with pytest.raises(ValueError, match=rf"point cloud's x ends at byte {offset + 12} of points of 12 bytes"):
        point_columns(message, ("x", "y", "z"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 10**9}, "point cloud of 1000000000 x 1 points"),
        ({"height": 2**32 - 1}, "has 24 bytes of data"),
        ({"row_step": 23}, "row_step 23"),
        ({"data": bytes(23)}, "has 23 bytes"),
        ({"point_step": 2**32 - 1}, "points of 4294967295 bytes; at most 65536"),
        ({"point_step": 0}, "point cloud's x ends at byte 4 of points of 0 bytes"),
    ],
)
def test_sizes_that_contradict_each_other_are_named(changes, said):
    with pytest.raises(ValueError, match=said):
        point_columns(cloud(XYZ, [(1, 2, 3)] * 2, **changes), ("x", "y", "z"))


def test_what_is_no_cloud_of_points_is_named():
    message = cloud(XYZ, [(1, 2, 3)])
    message.fields[1].datatype = 9
    with pytest.raises(ValueError, match="point cloud has y of 9; types are 1 to 8"):
        point_columns(message, ("x", "y", "z"))
    message.fields = message.fields[:1]
    with pytest.raises(ValueError, match="point cloud has no field y, z; it has x"):
        point_columns(message, ("x", "y", "z"))
