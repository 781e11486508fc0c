# SPDX-License-Identifier: Apache-2.0
"""The built messages are those of msg/*.msg: other ROS 2 nodes and bag readers compute the same type hashes."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import rclpy
from geometry_msgs.msg import Point32
from mapkd.msg import BevSemanticMap, MapPolyline, VectorMap
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mapkd_core.types import CLASSES

MSG = Path(__file__).resolve().parents[2] / "msg"
OWN = sorted(path.stem for path in MSG.glob("*.msg"))


@pytest.fixture(scope="module")
def typestore():
    """rosbags' definitions of ROS 2 with ours, parsed from the text of msg/."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for name in OWN:
        types |= get_types_from_msg((MSG / f"{name}.msg").read_text(), f"mapkd/msg/{name}")
    store.register(types)
    return store


@pytest.fixture
def node():
    rclpy.init()
    node = rclpy.create_node("test_messages")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.mark.parametrize("name", [*(f"mapkd/msg/{name}" for name in OWN), "tf2_msgs/msg/TFMessage"])
def test_announced_type_hash_equals_that_of_the_text(typestore, node, name):
    """What DDS tells other nodes about the message, against the hash computed from its definition."""
    package, _, message = name.split("/")
    publisher = node.create_publisher(getattr(importlib.import_module(f"{package}.msg"), message), message, 1)
    announced = node.get_publishers_info_by_topic(publisher.topic_name)[0]
    if not hasattr(announced, "topic_type_hash"):
        pytest.skip("this ROS 2 release (Humble) knows no type hashes")
    assert str(announced.topic_type_hash) == typestore.hash_rihs01(name)


def test_class_ids_are_raster_labels():
    ids = [getattr(MapPolyline, f"CLASS_{name.upper()}") for name in CLASSES]
    assert ids == [1, 2, 3] and MapPolyline.CLASS_UNKNOWN == 0
    assert BevSemanticMap.LABEL_UNOBSERVED not in ids


def test_bags_written_without_ros_are_read_with_it(typestore):
    """The same bytes mean the same on both sides, nested polylines included."""
    element = MapPolyline(class_id=MapPolyline.CLASS_BOUNDARY, confidence=0.5, is_closed=True, track_id=7)
    element.points = [Point32(x=1.0, y=-2.0), Point32(x=3.5, y=4.0)]
    message = VectorMap(polylines=[element], model_id="student@1")
    message.header.frame_id = "base_link"
    message.header.stamp.sec = 12
    read = typestore.deserialize_cdr(serialize_message(message), "mapkd/msg/VectorMap")
    assert (read.header.stamp.sec, read.header.frame_id, read.model_id) == (12, "base_link", "student@1")
    assert [(p.x, p.y) for p in read.polylines[0].points] == [(1.0, -2.0), (3.5, 4.0)]
    again = deserialize_message(bytes(typestore.serialize_cdr(read, "mapkd/msg/VectorMap")), VectorMap)
    assert again == message
