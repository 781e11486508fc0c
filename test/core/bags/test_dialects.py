# SPDX-License-Identifier: Apache-2.0
"""Every converter's bag gives the same frames: the same pictures, poses, points and calibration."""

import json
from dataclasses import replace

import numpy as np
import pytest
from converted_drive import image_message
from raw_mcap import mcap_bytes

from mapkd_core.bags.dialects import camera_name, identify
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.storage import BagError, Topic
from mapkd_core.bags.typestore import typestore
from mapkd_core.geometry import apply, project


def assert_is_the_drive(drive, drive_of):
    """Frames equal those that were written: pictures, stamps, calibration and geometry."""
    got, want = list(drive.frames()), drive_of.frames()
    assert [frame.stamp_ns for frame in got] == [frame.stamp_ns for frame in want]
    for a, b in zip(got, want, strict=True):
        cameras = {camera.name: camera for camera in a.cameras}
        assert set(cameras) == {camera.name for camera in b.cameras}
        for camera in b.cameras:
            found = cameras[camera.name]
            assert found.stamp_ns == camera.stamp_ns
            assert np.array_equal(found.image, camera.image)
            assert np.allclose(found.K, camera.K)
            assert np.allclose(found.ego_T_camera, camera.ego_T_camera, atol=1e-6)
    return got


@pytest.mark.parametrize(("bag", "writer"), [("nuscenes2bag", "nuscenes2bag"), ("ros2_port", "NuScenes2Bag_ROS2")])
def test_bags_without_camera_info_need_and_use_the_calibration_file(bag, writer, request, sidecar, drive_of):
    path = request.getfixturevalue(bag)
    with BagDrive(path, sidecar) as drive:
        assert drive.dialect.writer == writer
        got = assert_is_the_drive(drive, drive_of)
        for number, frame in enumerate(got):
            want = apply(drive_of.EGO_T_LIDAR, drive_of.points(number)[:, :3])
            assert frame.points.shape == (50, 4)
            assert np.allclose(frame.points[:, :3], want, atol=1e-5)
    with BagDrive(path) as drive, pytest.raises(BagError) as error:
        list(drive.frames())
    assert "CAM_BACK: no camera_info" in str(error.value) and "--calibration" in str(error.value)


def test_mountings_come_from_tf_where_the_calibration_file_has_only_intrinsics(nuscenes2bag, tmp_path, drive_of):
    cameras = {
        name: {"width": drive_of.WIDTH, "height": drive_of.HEIGHT, "K": drive_of.K.tolist()}
        for name in drive_of.AGES_NS
    }
    (tmp_path / "k.json").write_text(json.dumps({"cameras": cameras}))
    with BagDrive(nuscenes2bag, tmp_path / "k.json") as drive:
        assert_is_the_drive(drive, drive_of)


def test_a_bag_without_tf_takes_mountings_from_the_calibration_file(nuscenes_to_ros2bag, sidecar, drive_of):
    with (
        BagDrive(nuscenes_to_ros2bag) as drive,
        pytest.raises(BagError, match="tf does not connect base_link and cam_"),
    ):
        drive.rig.cameras  # noqa: B018
    with BagDrive(nuscenes_to_ros2bag, sidecar) as drive:
        assert drive.dialect.writer == "Chris7462/nuscenes_to_ros2bag"
        assert_is_the_drive(drive, drive_of)
        assert drive.survey.odometry_frames == ("map", "base_link")


def test_types_that_have_no_ros2_counterpart_are_counted(nuscenes2bag):
    with BagDrive(nuscenes2bag) as drive:
        assert "radar_front" not in {message.topic for message in drive.reader.messages()}
        assert drive.reader.skipped == {"radar_front": 1}


def test_a_landmark_stays_put_though_cameras_fire_in_turn_on_a_moving_vehicle(nuscenes2bag, sidecar, drive_of):
    """A camera's pose at the frame's stamp and at its own must see the same pixel: 25 ms at 10 m/s are 0.25 m."""
    landmark = np.array([60.0, 8.0, 0.5])
    with BagDrive(nuscenes2bag, sidecar) as drive:
        mounted = {camera.name: camera.ego_T_camera for camera in drive.rig.cameras}
        for frame in drive.frames():
            for camera in frame.cameras:
                direct = drive_of.pose_at(camera.stamp_ns) @ mounted[camera.name]
                through_frame = frame.odom_T_ego @ camera.ego_T_camera
                a, _ = project(landmark, camera.K, direct)
                b, _ = project(landmark, camera.K, through_frame)
                assert np.abs(a - b).max() < 0.01


def test_an_mcap_file_of_other_messages_is_refused_with_a_remedy(tmp_path, drive_of):
    channels = [
        ("/cam_front/image", "camera.Picture", "flatbuffer", [(drive_of.START_NS, b"abc")]),
        ("/diagnostics", "diagnostic_msgs/DiagnosticArray", "json", [(drive_of.START_NS, b"{}")]),
    ]
    (tmp_path / "scene.mcap").write_bytes(mcap_bytes(channels))
    with pytest.raises(BagError, match=r"flatbuffer, json.*camera\.Picture.*mapkd bag --nuscenes"):
        BagDrive(tmp_path / "scene.mcap")


def test_ros1_messages_in_an_mcap_file_are_read(nuscenes2bag, sidecar, tmp_path, drive_of):
    """nuscenes2mcap of August 2022: upper-case names, ROS 1 messages, another profile."""
    from rosbags.rosbag1 import Reader

    channels = {}
    with Reader(nuscenes2bag) as reader:
        for connection, stamp_ns, raw in reader.messages():
            name = connection.topic.upper().replace("/TF", "/tf").replace("/ODOM", "/odom")
            name = name.replace("/RAW", "/image_rect_compressed")
            kind = connection.msgtype.replace("/msg/", "/")
            channels.setdefault((name, kind), []).append((stamp_ns, raw))
    path = tmp_path / "old.mcap"
    path.write_bytes(mcap_bytes([(name, kind, "ros1", items) for (name, kind), items in channels.items()], "ros1"))
    with BagDrive(path, sidecar) as drive:
        assert drive.dialect.writer == "nuscenes2mcap of 2022"
        assert drive.reader.damage is None
        assert_is_the_drive(drive, drive_of)


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("cam_front/raw", "CAM_FRONT"),
        ("/cam_front/image/compressed", "CAM_FRONT"),
        ("/nuscenes/cam_back_left/image_raw", "CAM_BACK_LEFT"),
        ("/CAM_FRONT/image_rect_compressed", "CAM_FRONT"),
        ("/sensing/camera0/image_raw/compressed", "CAMERA0"),
        ("/image_raw", None),
        ("/map/semantic_map/label_image", None),
        ("/cam_front/depth", None),
    ],
)
def test_camera_names(topic, name):
    assert camera_name(topic) == name


def test_the_fuller_stream_of_a_camera_is_taken_and_its_camera_info_found():
    raw, compressed = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
    info = Topic("/a/cam_front/camera_info", "sensor_msgs/msg/CameraInfo", 9)
    topics = [Topic("/a/cam_front/image", raw, 9), Topic("/a/cam_front/image/compressed", compressed, 9), info]
    chosen = identify(topics).cameras["CAM_FRONT"]
    assert (chosen.image.name, chosen.info) == ("/a/cam_front/image/compressed", info.name)
    topics[0] = replace(topics[0], count=10)
    assert identify(topics).cameras["CAM_FRONT"].image.name == "/a/cam_front/image"


def test_a_bag_without_cameras_lists_what_it_has():
    with pytest.raises(BagError, match=r"no camera topic .* /scan \(sensor_msgs/msg/LaserScan\)"):
        identify([Topic("/scan", "sensor_msgs/msg/LaserScan", 3)])


def test_cdr_and_ros1_give_the_same_bytes(nuscenes2bag, drive_of):
    """The conversion drops the header's sequence number and nothing else."""
    with BagDrive(nuscenes2bag) as drive:
        message = next(drive.reader.messages({"cam_front/raw"}))
    content = typestore().deserialize_cdr(message.data, message.type_name)
    again = typestore().serialize_cdr(content, message.type_name)
    want = image_message(drive_of.START_NS, "cam_front", drive_of.picture("CAM_FRONT", 0))
    assert bytes(again) == bytes(typestore().serialize_cdr(want, message.type_name))
