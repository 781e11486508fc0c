# SPDX-License-Identifier: Apache-2.0
"""Bags of foxglove/nuscenes2mcap and of its fork: frames without a calibration file, and the same topics in replay."""

import numpy as np
import pytest
from backports import zstd
from raw_mcap import mcap_bytes

from mapkd_core.bags import from_messages
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.replay import replay_messages, replay_topics
from mapkd_core.bags.storage import BagError
from mapkd_core.bags.survey import peek_header
from mapkd_core.bags.typestore import typestore
from mapkd_core.geometry import apply

# Poses lie up to 100 ms apart on a circle of 50 m at 10 m/s: straight between them means 10 * 0.2 * 0.1^2 / 8 m off.
BETWEEN_POSES_M = 3e-3


def assert_is_the_drive(drive, drive_of):
    got, want = list(drive.frames()), drive_of.frames(5)
    assert [frame.stamp_ns for frame in got] == [frame.stamp_ns for frame in want]
    for number, (a, b) in enumerate(zip(got, want, strict=True)):
        cameras = {camera.name: camera for camera in a.cameras}
        assert set(cameras) == {camera.name for camera in b.cameras}
        assert np.allclose(a.odom_T_ego, b.odom_T_ego, atol=BETWEEN_POSES_M)
        for camera in b.cameras:
            found = cameras[camera.name]
            assert (found.stamp_ns, found.width, found.height) == (camera.stamp_ns, camera.width, camera.height)
            assert np.abs(found.image.astype(int) - camera.image).max() <= 2  # flat colours through JPEG
            assert np.array_equal(found.K, camera.K)
            assert np.allclose(found.ego_T_camera, camera.ego_T_camera, atol=BETWEEN_POSES_M)
        points = apply(drive_of.EGO_T_LIDAR, drive_of.points(number)[:, :3])
        assert np.allclose(a.points[:, :3], points, atol=1e-5)
        assert np.array_equal(a.points[:, 3:], drive_of.points(number)[:, 3:])


def test_every_generation_of_nuscenes2mcap_gives_the_frames(foxglove_mcap, drive_of):
    with BagDrive(foxglove_mcap) as drive:
        assert drive.dialect.writer == "nuscenes2mcap" and drive.reader.damage is None
        assert_is_the_drive(drive, drive_of)
        assert not drive.problems and drive.counts == {"frames": 5}
        assert set(drive.dialect.transforms) == {"/tf"} and drive.dialect.odometry is None  # /odom is JSON


def test_chunks_compressed_as_foxglove_does_are_read(foxglove_writer, drive_of):
    path = foxglove_writer(lambda schema, fields: fields, compress=("zstd", zstd.compress))
    with BagDrive(path) as drive:
        assert_is_the_drive(drive, drive_of)


def test_what_has_no_ros_counterpart_is_counted_and_not_replayed(foxglove_mcap):
    with BagDrive(foxglove_mcap) as drive:
        list(drive.reader.messages())
        assert drive.reader.skipped == {"/map": 1, "/pose": 3, "/odom": 3, "/diagnostics": 3}
        assert not {"/map", "/pose", "/odom", "/diagnostics"} & {topic.name for topic in replay_topics(drive)}


@pytest.mark.parametrize("bag", ["foxglove_writer", "watonomous_bag"])
def test_replay_gives_ros_messages_under_the_same_names(bag, request, drive_of):
    path = request.getfixturevalue(bag)
    with BagDrive(path(lambda schema, fields: fields) if callable(path) else path) as drive:
        topics = {(topic.name, topic.type_name) for topic in replay_topics(drive)}
        messages = list(replay_messages(drive))
    assert {(m.topic, m.type_name) for m in messages} <= topics
    for camera in drive_of.rig():
        name = camera.name.lower()
        images = [m for m in messages if m.topic == f"/{name}/image/compressed"]
        infos = [m for m in messages if m.topic == f"/{name}/camera_info"]
        want_ns = [frame.stamp_ns - drive_of.AGES_NS[camera.name] for frame in drive_of.frames(5)]
        assert [peek_header(m.data)[0] for m in images] == [peek_header(m.data)[0] for m in infos] == want_ns
        assert np.array_equal(content(infos[0]).k.reshape(3, 3), drive_of.K)
        frames = {peek_header(m.data)[1] for m in (*images, *infos)}
        assert len(frames) == 1 and frames <= {t.child_frame_id for t in transforms(messages)}
    stamps = [m.stamp_ns for m in messages]
    assert stamps == sorted(stamps)
    moved = {from_messages.stamp_ns(t.header): t for t in transforms(messages) if t.child_frame_id == "base_link"}
    for stamp_ns, item in moved.items():
        assert np.allclose(from_messages.pose(item.transform), drive_of.pose_at(stamp_ns), atol=1e-9)


def content(message):
    return typestore().deserialize_cdr(message.data, message.type_name)


def transforms(messages):
    return [t for m in messages if m.topic == "/tf" for t in content(m).transforms]


def test_the_fork_with_upper_case_topics_gives_the_frames(watonomous_bag, drive_of):
    with BagDrive(watonomous_bag) as drive:
        assert drive.dialect.writer == "WATonomous/nuscenes_to_ros2bag"
        assert drive.dialect.lidar == "/LIDAR_TOP" and not drive.problems
        assert_is_the_drive(drive, drive_of)


def test_poses_that_were_logged_late_are_replayed_at_their_own_time(watonomous_bag):
    """The fork logs 50 Hz odometry with the next keyframe; a node must have it when the images come."""
    with BagDrive(watonomous_bag) as drive:
        poses = [m for m in replay_messages(drive) if m.topic == "/odom"]
        stamps = [(m.stamp_ns, peek_header(m.data)[0]) for m in poses]
    assert len(stamps) == 23 and all(replayed == own for replayed, own in stamps)


def test_a_cloud_with_a_pose_of_its_own_is_moved_by_it(foxglove_writer, drive_of):
    shift = {"position": {"x": 1.0, "y": -2.0, "z": 0.5}, "orientation": {"w": 1.0}}
    path = foxglove_writer(lambda schema, fields: fields | ({"pose": shift} if schema == "PointCloud" else {}))
    with BagDrive(path) as drive:
        points = next(drive.frames()).points
    want = apply(drive_of.EGO_T_LIDAR, drive_of.points(0)[:, :3] + (1.0, -2.0, 0.5))
    assert np.allclose(points[:, :3], want, atol=1e-5)


def test_damage_is_named_and_costs_only_what_is_damaged(foxglove_writer, tmp_path, drive_of):
    spoilt = foxglove_writer(lambda schema, fields: fields | ({"K": [1.0]} if schema == "CameraCalibration" else {}))
    with BagDrive(spoilt) as drive, pytest.raises(BagError, match=r"no pinhole camera.*--calibration"):
        list(drive.frames())
    bent = foxglove_writer(
        lambda schema, fields: fields | ({"rotation": {}} if fields.get("child_frame_id") == "cam_back" else {})
    )
    with BagDrive(bent) as drive:
        assert drive.rig.missing == {"CAM_BACK": "tf does not connect base_link and cam_back"}
        assert drive.reader.skipped["/tf"] == 3
    stamp_ns = drive_of.START_NS
    channel = ("/cam_front/image_rect_compressed", "foxglove.CompressedImage", "protobuf", [(stamp_ns, b"abc")])
    (tmp_path / "bare.mcap").write_bytes(mcap_bytes([channel]))
    with pytest.raises(BagError, match=r"own definition of foxglove\.CompressedImage cannot be used"):
        BagDrive(tmp_path / "bare.mcap")
