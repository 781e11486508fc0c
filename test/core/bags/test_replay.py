# SPDX-License-Identifier: Apache-2.0
"""Whatever wrote the bag, replay gives the same topics with stamps, frames, calibration and transforms."""

import numpy as np
import pytest

from mapkd_core.bags import from_messages
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.replay import replay_messages, replay_topics
from mapkd_core.bags.survey import peek_header
from mapkd_core.bags.typestore import typestore
from mapkd_core.bags.write import BagWriter

DIALECTS = ("nuscenes2bag", "ros2_port", "nuscenes_to_ros2bag")


def replayed(path, sidecar):
    with BagDrive(path, sidecar) as drive:
        topics, messages = replay_topics(drive), list(replay_messages(drive))
    assert {(m.topic, m.type_name) for m in messages} <= {(t.name, t.type_name) for t in topics}
    return topics, messages


def content(message):
    return typestore().deserialize_cdr(message.data, message.type_name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_replays_under_the_same_names_with_everything_a_mapper_needs(dialect, request, sidecar, drive_of):
    topics, messages = replayed(request.getfixturevalue(dialect), sidecar)
    names = {topic.name for topic in topics}
    for camera in drive_of.rig():
        name = camera.name.lower()
        assert {f"/{name}/image", f"/{name}/camera_info"} <= names
        images = [m for m in messages if m.topic == f"/{name}/image"]
        infos = [m for m in messages if m.topic == f"/{name}/camera_info"]
        want_ns = [frame.stamp_ns - drive_of.AGES_NS[camera.name] for frame in drive_of.frames()]
        frame_id = name + ("_link" if dialect == "nuscenes_to_ros2bag" else "")
        for kind in (images, infos):
            assert [peek_header(message.data) for message in kind] == [(stamp, frame_id) for stamp in want_ns]
        assert np.array_equal(content(infos[0]).k.reshape(3, 3), drive_of.K)
        assert np.array_equal(
            from_messages.image(images[0].type_name, content(images[0])), drive_of.picture(camera.name, 0)
        )
    assert {"/odom", "/tf", "/lidar_top"} <= names
    stamps = [message.stamp_ns for message in messages]
    assert stamps == sorted(stamps)
    assert edges(messages) >= {(frame, "base_link") for frame in camera_frames(messages)}


def camera_frames(messages):
    return {peek_header(m.data)[1] for m in messages if m.topic.endswith(("/image", "/lidar_top"))}


def edges(messages):
    """(child, parent) of all transforms."""
    stamped = [t for m in messages if m.topic in ("/tf", "/tf_static") for t in content(m).transforms]
    return {(t.child_frame_id, t.header.frame_id) for t in stamped}


@pytest.mark.parametrize(("dialect", "parent"), [("nuscenes2bag", "odom"), ("nuscenes_to_ros2bag", "map")])
def test_the_vehicles_pose_is_on_tf_even_where_only_odometry_was_recorded(dialect, parent, request, sidecar, drive_of):
    _, messages = replayed(request.getfixturevalue(dialect), sidecar)
    assert ("base_link", parent) in edges(messages)
    for message in messages:
        for item in content(message).transforms if message.topic == "/tf" else ():
            if item.child_frame_id == "base_link":
                stamp_ns = from_messages.stamp_ns(item.header)
                assert np.allclose(from_messages.pose(item.transform), drive_of.pose_at(stamp_ns), atol=1e-9)


def test_mountings_of_the_calibration_file_come_first_and_latched(nuscenes_to_ros2bag, sidecar, drive_of):
    topics, messages = replayed(nuscenes_to_ros2bag, sidecar)
    assert messages[0].topic == "/tf_static"
    assert [topic.is_latched for topic in topics if topic.name == "/tf_static"] == [True]
    mounted = {t.child_frame_id: from_messages.pose(t.transform) for t in content(messages[0]).transforms}
    for camera in drive_of.rig():
        assert np.allclose(mounted[f"{camera.name.lower()}_link"], camera.ego_T_camera, atol=1e-9)
    assert np.allclose(mounted["lidar_top_link"], drive_of.EGO_T_LIDAR, atol=1e-9)


def test_our_own_bag_passes_through_byte_for_byte(tmp_path, drive_of):
    with BagWriter(tmp_path / "drive", rig=drive_of.rig()) as writer:
        for frame in drive_of.frames():
            writer.add(frame, drive_of.truth())
    with BagDrive(tmp_path / "drive") as drive:
        assert list(replay_messages(drive)) == list(drive.reader.messages())
        assert {t.name for t in replay_topics(drive)} == {t.name for t in drive.reader.topics}


def test_a_calibration_file_goes_before_the_recorded_camera_info(tmp_path, sidecar, drive_of):
    with BagWriter(tmp_path / "drive", rig=drive_of.rig()) as writer:
        writer.add(drive_of.frames(1)[0])
    text = sidecar.read_text().replace("50.0", "55.0")
    sidecar.write_text(text)
    with BagDrive(tmp_path / "drive", sidecar) as drive:
        assert all(camera.K[0, 0] == 55.0 for camera in drive.rig.cameras)
        infos = [content(m) for m in replay_messages(drive) if m.topic.endswith("camera_info")]
    assert len(infos) == 3 and all(info.k[0] == 55.0 for info in infos)


def test_a_bag_without_calibration_still_replays_what_it_has(nuscenes2bag):
    with BagDrive(nuscenes2bag) as drive:
        assert set(drive.rig.missing) == {"CAM_BACK", "CAM_FRONT", "CAM_FRONT_LEFT"}
        topics = {message.topic for message in replay_messages(drive)}
    assert "/cam_front/image" in topics and "/cam_front/camera_info" not in topics
