# SPDX-License-Identifier: Apache-2.0
"""What is written to a bag comes back, byte for byte where bytes were given, in a form other tools read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader

from mapkd_core.bags.from_folder import write_frame_folder_bag
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.storage import BagReader
from mapkd_core.bags.typestore import typestore
from mapkd_core.bags.write import BagWriter
from mapkd_core.data.frame_folder import read_frame_folder
from mapkd_core.geometry import apply, inverse
from mapkd_core.types import CLASSES, MapElement

SCENE = Path(__file__).parents[4] / "shared" / "data" / "scene0061"


def write(path, drive_of, frames=None, truth=True, **options):
    frames = drive_of.frames() if frames is None else frames
    encoded = [{c.name: drive_of.jpeg(c.image) for c in frame.cameras} for frame in frames]
    options = {"rig": drive_of.rig(), "ego_T_lidar": drive_of.EGO_T_LIDAR} | options
    with BagWriter(path, **options) as writer:
        for frame, images in zip(frames, encoded, strict=True):
            writer.add(frame, drive_of.truth() if truth else None, encoded=images)
    return encoded


@pytest.mark.parametrize("name", ["drive", "drive.mcap"])
def test_round_trip_of_a_moving_vehicle_whose_cameras_fire_in_turn(tmp_path, drive_of, name):
    path = tmp_path / name
    encoded = write(path, drive_of)
    assert path.is_file() == name.endswith(".mcap")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]  # nothing half-written stays behind
    with BagDrive(path) as drive:
        assert drive.dialect.writer == "mapkd"
        got = list(drive.frames())
        raw = {(m.topic, m.stamp_ns): m for m in drive.reader.messages()}
        assert not drive.problems and drive.counts == {"frames": 4}
    for a, b, images in zip(got, drive_of.frames(), encoded, strict=True):
        assert a.stamp_ns == b.stamp_ns
        assert np.allclose(a.odom_T_ego, b.odom_T_ego, atol=1e-9)
        assert np.allclose(a.points, b.points, atol=1e-5)
        found = {camera.name: camera for camera in a.cameras}
        for camera in b.cameras:
            other = found[camera.name]
            assert (other.stamp_ns, other.width, other.height) == (camera.stamp_ns, camera.width, camera.height)
            assert np.array_equal(other.K, camera.K)
            assert np.allclose(other.ego_T_camera, camera.ego_T_camera, atol=1e-9)
            message = raw[f"/{camera.name.lower()}/image/compressed", camera.stamp_ns]
            assert typestore().deserialize_cdr(message.data, message.type_name).data.tobytes() == images[camera.name]


def test_truth_comes_back_with_its_classes(tmp_path, drive_of):
    write(tmp_path / "drive", drive_of, labelled=("divider", "ped_crossing"))
    with BagDrive(tmp_path / "drive") as drive:
        truths = drive.truth()
    assert list(truths) == [frame.stamp_ns for frame in drive_of.frames()]
    for truth in truths.values():
        assert truth.labelled == ("divider", "ped_crossing")
        for got, want in zip(truth.elements, drive_of.truth(), strict=True):
            assert (got.class_name, got.is_closed, got.confidence) == (want.class_name, want.is_closed, 1.0)
            assert np.array_equal(got.vertices_m, want.vertices_m)  # these values are exact in float32


def test_truth_moves_into_the_anchors_instant(tmp_path, drive_of):
    """The frame is 25 ms younger than CAM_FRONT's image; at 10 m/s a line 5 m ahead of it lay at 5.25 m then."""
    frame = drive_of.frames(1)[0]
    aged = [
        replace(
            camera,
            stamp_ns=frame.stamp_ns - 25_000_000,
            ego_T_camera=inverse(frame.odom_T_ego)
            @ drive_of.pose_at(frame.stamp_ns - 25_000_000)
            @ mounted.ego_T_camera,
        )
        for camera, mounted in zip(frame.cameras, drive_of.rig(), strict=True)
    ]
    line = MapElement("divider", np.array([[5.0, 0.0], [5.0, 1.0]]))
    with BagWriter(tmp_path / "drive", rig=drive_of.rig()) as writer:
        writer.add(replace(frame, cameras=tuple(aged)), [line])
    with BagDrive(tmp_path / "drive") as drive:
        truth = drive.truth()[frame.stamp_ns - 25_000_000]
        anchored = next(drive.frames())
    assert truth.labelled == CLASSES
    assert np.allclose(truth.elements[0].vertices_m[0], (5.25, 0.025), atol=2e-3)
    in_odom = apply(anchored.odom_T_ego, np.append(truth.elements[0].vertices_m[0], 0.0))
    assert np.allclose(in_odom, apply(frame.odom_T_ego, [5.0, 0.0, 0.0]), atol=1e-5)


def test_other_readers_understand_the_bag(tmp_path, drive_of):
    """AnyReader takes types from the bag itself and checks their hashes; metadata.yaml is what rosbag2 reads first."""
    write(tmp_path / "drive", drive_of)
    with AnyReader([tmp_path / "drive"]) as reader:
        kinds = {connection.topic: connection.msgtype for connection in reader.connections}
        for connection, _, raw in reader.messages():
            reader.deserialize(raw, connection.msgtype)
    assert kinds["/cam_front/image/compressed"] == "sensor_msgs/msg/CompressedImage"
    assert kinds["/truth/vector_map"] == "mapkd/msg/VectorMap"
    metadata = yaml.safe_load((tmp_path / "drive" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (metadata["storage_identifier"], metadata["version"]) == ("mcap", 8)
    offered = {
        entry["topic_metadata"]["name"]: yaml.safe_load(entry["topic_metadata"]["offered_qos_profiles"])[0]
        for entry in metadata["topics_with_message_count"]
    }
    transient_local, volatile, reliable = 1, 2, 1
    assert offered["/tf_static"]["durability"] == transient_local
    assert offered["/cam_front/image/compressed"]["durability"] == volatile
    assert {profile["reliability"] for profile in offered.values()} == {reliable}


def test_messages_come_in_time_order_and_tf_static_first(tmp_path, drive_of):
    write(tmp_path / "drive.mcap", drive_of)
    with BagReader(tmp_path / "drive.mcap") as reader:
        messages = list(reader.messages())
        assert {topic.name for topic in reader.topics if topic.is_latched} == {"/tf_static", "/truth/vector_map"}
    assert messages[0].topic == "/tf_static"
    stamps = [message.stamp_ns for message in messages]
    assert stamps == sorted(stamps)


def test_pictures_are_compressed_where_no_bytes_are_given(tmp_path, drive_of):
    with BagWriter(tmp_path / "drive", rig=drive_of.rig(), jpeg_quality=95) as writer:
        writer.add(drive_of.frames(1)[0])
    with BagDrive(tmp_path / "drive") as drive:
        for camera in next(drive.frames()).cameras:
            assert np.abs(camera.image.astype(int) - drive_of.picture(camera.name, 0)).max() <= 2


def test_a_camera_without_picture_is_missing_from_that_frame_only(tmp_path, drive_of):
    frames = drive_of.frames(skewed=False)
    blind = replace(frames[1].cameras[2], image=None)
    frames[1] = replace(frames[1], cameras=(*frames[1].cameras[:2], blind))
    with BagWriter(tmp_path / "drive") as writer:
        for frame in frames:
            writer.add(frame)
    with BagDrive(tmp_path / "drive") as drive:
        got = list(drive.frames())
        assert drive.counts == {"frames": 4, "missing CAM_BACK": 1}
    seen = [[camera.name for camera in frame.cameras if camera.image is None] for frame in got]
    assert seen == [[], ["CAM_BACK"], [], []]


def test_what_cannot_be_written_is_refused_and_nothing_stays_behind(tmp_path, drive_of):
    (tmp_path / "old").mkdir()
    with pytest.raises(ValueError, match="old exists already"):
        BagWriter(tmp_path / "old")
    (tmp_path / "old").rmdir()
    frame = drive_of.frames(1, skewed=False)[0]
    moved = replace(frame.cameras[0], ego_T_camera=frame.cameras[1].ego_T_camera)
    later = replace(frame, stamp_ns=frame.stamp_ns + 1)
    cases = [
        ([], "no frame was added"),
        ([replace(frame, cameras=())], "has no camera"),
        ([frame, frame], "is not after the last one"),
        ([frame, replace(later, cameras=(replace(moved, stamp_ns=later.stamp_ns),))], "mounting of CAM_FRONT changed"),
        ([replace(frame, cameras=(replace(moved, stamp_ns=5),))], "give BagWriter the rig"),
    ]
    for frames, words in cases:
        with pytest.raises(ValueError, match=words), BagWriter(tmp_path / "bag") as writer:
            for one in frames:
                writer.add(one)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="class 'kerb'"), BagWriter(tmp_path / "bag") as writer:
        writer.add(frame, [MapElement("kerb", np.zeros((2, 2)))])


@pytest.mark.skipif(not SCENE.is_dir(), reason=f"real frame not at {SCENE}")
def test_the_real_frame_survives_the_way_through_a_bag(tmp_path):
    folder = read_frame_folder(SCENE)
    write_frame_folder_bag(folder, tmp_path / "real.mcap")
    with BagDrive(tmp_path / "real.mcap") as drive:
        frame = next(drive.frames())
        truth = drive.truth()[frame.stamp_ns]
        assert not drive.problems
    front = next(camera for camera in folder.frame.cameras if camera.name == "CAM_FRONT")
    assert frame.stamp_ns == front.stamp_ns and truth.labelled == ("divider", "boundary")
    # CAM_FRONT's instant against the LiDAR's, 35 ms later: everything moves by one rigid step of some 0.34 m.
    mounted = next(camera for camera in folder.rig if camera.name == "CAM_FRONT")
    anchor_T_lidar = mounted.ego_T_camera @ inverse(front.ego_T_camera)
    assert 0.3 < np.linalg.norm(anchor_T_lidar[:3, 3]) < 0.4
    originals = {camera.name: camera for camera in folder.frame.cameras}
    for camera in frame.cameras:
        original = originals[camera.name]
        assert np.array_equal(camera.image, original.image) and np.array_equal(camera.K, original.K)
        assert np.allclose(camera.ego_T_camera, anchor_T_lidar @ original.ego_T_camera, atol=1e-5)
    assert np.allclose(frame.points[:, :3], apply(anchor_T_lidar, folder.frame.points[:, :3]), atol=1e-3)
    assert np.array_equal(frame.points[:, 3:], folder.frame.points[:, 3:])
