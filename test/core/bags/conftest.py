# SPDX-License-Identifier: Apache-2.0
"""The made drive in a bag of each converter, and a calibration file for it."""

import made_drive
import pytest
from converted_drive import Ros1Store, Sink, write_raw_drive
from made_drive import EGO_T_LIDAR, HEIGHT, START_NS, WIDTH, K, quaternion, rig
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mapkd_core.bags.typestore import typestore


@pytest.fixture
def drive_of():
    """The made drive, for tests that compare with what was written."""
    return made_drive


@pytest.fixture
def nuscenes2bag(tmp_path):
    """clynamen/nuscenes2bag: ROS 1, no slash, no camera_info, no /tf_static, mountings on /tf."""
    store = get_typestore(Stores.ROS1_NOETIC)
    definition = "geometry_msgs/TransformStamped[] transforms"
    store.register(get_types_from_msg(definition, "tf/msg/tfMessage"))
    store.register(get_types_from_msg("string name", "nuscenes2bag/msg/RadarObjects"))
    path = tmp_path / "61.bag"
    with Writer1(path) as writer:
        sink = Sink(writer, Ros1Store(store), is_ros1=True)
        write_raw_drive(sink, topic="{}/raw", frame_id="{}", tf=True)
        radar = store.types["nuscenes2bag/msg/RadarObjects"](name="echo")
        sink.write("radar_front", START_NS, radar)
    return path


@pytest.fixture
def ros2_port(tmp_path):
    """Wj-costumer/NuScenes2Bag_ROS2: sqlite3, empty headers, LiDAR frame "lidar"."""
    with Writer(tmp_path / "ported", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        sink = Sink(writer, typestore())
        write_raw_drive(
            sink,
            topic="{}/raw",
            frame_id="{}",
            tf=True,
            zero_headers=True,
            lidar="lidar",
        )
    return tmp_path / "ported"


@pytest.fixture
def nuscenes_to_ros2bag(tmp_path):
    """Chris7462/nuscenes_to_ros2bag: MCAP, /nuscenes prefix, camera_info, map -> base_link on odom, no TF at all."""
    with Writer(tmp_path / "chris", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        sink = Sink(writer, typestore())
        topic = "/nuscenes/{}/image_raw"
        write_raw_drive(
            sink, topic=topic, frame_id="{}_link", tf=False, info=True, odom_parent="map", lidar="lidar_top_link"
        )
    return tmp_path / "chris"


@pytest.fixture
def sidecar(tmp_path):
    """A calibration file as a user would write it, in YAML."""
    lines = ["cameras:"]
    for camera in rig():
        translation = camera.ego_T_camera[:3, 3].tolist()
        lines += [
            f"  {camera.name}:",
            f"    width: {WIDTH}",
            f"    height: {HEIGHT}",
            f"    K: {K.tolist()}",
            f"    ego_T_camera: {{translation: {translation}, rotation_xyzw: {quaternion(camera.ego_T_camera)}}}",
        ]
    lines.append(f"ego_T_lidar: {EGO_T_LIDAR.tolist()}")
    path = tmp_path / "calibration.yaml"
    path.write_text("\n".join(lines))
    return path
