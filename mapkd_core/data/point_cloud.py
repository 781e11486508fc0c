# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 -> columns of numbers, for bags. P points, H W rows and columns of a cloud.

A cloud comes from strangers: every size is checked against the data before numpy sees it, since numpy's own check of a
field's offset overflows near 2^31 and then reads anywhere. The node makes the same checks, and then reads through
sensor_msgs_py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST_POINT = 1 << 16  # bytes; a LiDAR's point has 12 to 100
# sensor_msgs/PointField.datatype -> numpy
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


def point_columns(message: Any, names: Sequence[str]) -> NDArray[np.float32]:
    """P x len(names) float32 of a message of rosbags or of rclpy, in its own frame; padding is skipped.

    A field that the cloud lacks is zero, but x, y and z must be there. Of a field with `count` above 1, the first.
    Allocates at most 4 bytes per point and name. ValueError says what does not fit.
    """
    present, types = checked(message, names)
    layout: Any = {
        "names": list(present),
        "formats": list(types.values()),
        "offsets": [field.offset for field in present.values()],
        "itemsize": int(message.point_step),
    }
    strides = (int(message.row_step), int(message.point_step))
    rows = np.ndarray((message.height, message.width), np.dtype(layout), message.data, strides=strides)
    columns = np.zeros((rows.size, len(names)), np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 is infinite, and refused as such
        for name in present:
            columns[:, names.index(name)] = rows[name].ravel()
    return columns


def checked(message: Any, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.dtype]]:
    """The fields of these names that are there, and their types. ValueError for sizes that contradict each other."""
    fields = {field.name: field for field in message.fields}
    if missing := {"x", "y", "z"} - set(fields):
        raise ValueError(
            f"point cloud has no field {', '.join(sorted(missing))}; it has {', '.join(fields) or 'nothing'}"
        )
    fields = {name: fields[name] for name in names if name in fields}
    if unknown := [f"{name} of {field.datatype}" for name, field in fields.items() if field.datatype not in _TYPES]:
        raise ValueError(f"point cloud has {', '.join(unknown)}; types are 1 to 8 of sensor_msgs/PointField")
    types = {name: np.dtype((">" if message.is_bigendian else "<") + _TYPES[f.datatype]) for name, f in fields.items()}
    step, row_step = int(message.point_step), int(message.row_step)
    if step > _LARGEST_POINT:
        raise ValueError(
            f"point cloud of points of {step} bytes; at most {_LARGEST_POINT}: is point_step of this size?"
        )
    for name, field in fields.items():
        if (end := field.offset + types[name].itemsize) > step:
            raise ValueError(f"point cloud's {name} ends at byte {end} of points of {step} bytes")
    height, width, size = int(message.height), int(message.width), len(message.data)
    if row_step < width * step or size != height * row_step:
        raise ValueError(
            f"point cloud of {width} x {height} points, point_step {step}, row_step {row_step} has {size} bytes of data"
        )
    return fields, types
