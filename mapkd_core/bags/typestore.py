# SPDX-License-Identifier: Apache-2.0
"""Message types without ROS: the standard ones from rosbags, our own parsed from the shipped msg/*.msg files."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

PACKAGE = "mapkd"
VECTOR_MAP = "mapkd/msg/VectorMap"


@cache
def typestore() -> Typestore:
    """ROS 2 types (Jazzy; the sensor messages are the same in every distribution since Foxy) and our own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(message_folder().glob("*.msg")):
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), f"{PACKAGE}/msg/{path.stem}"))
    return store


def message_folder() -> Path:
    """Where msg/*.msg lies: beside the package in a checkout, under share/mapkd in an installation."""
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    installed = [Path(prefix, "share", PACKAGE, "msg") for prefix in prefixes if prefix]
    candidates = [Path(__file__).parents[2] / "msg", *installed]
    for candidate in candidates:
        if (candidate / "VectorMap.msg").is_file():
            return candidate
    raise FileNotFoundError(
        f"message definitions of {PACKAGE} not found in {', '.join(map(str, candidates))}; "
        "run from a checkout or source the installed workspace"
    )


def make(type_name: str, **fields: Any) -> Any:
    """A message object of `type_name`, for example "sensor_msgs/msg/CameraInfo"."""
    return typestore().types[type_name](**fields)


@cache
def class_ids() -> dict[str, int]:
    """Class name -> MapPolyline.CLASS_*, read from the message definition itself."""
    constants, _ = typestore().fielddefs[f"{PACKAGE}/msg/MapPolyline"]
    prefix = "CLASS_"
    return {name.removeprefix(prefix).lower(): int(value) for name, _, value in constants if name.startswith(prefix)}
