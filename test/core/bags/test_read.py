# SPDX-License-Identifier: Apache-2.0
"""Frames out of imperfect bags: what is unusable is left out, counted and named; the rest goes on."""

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.bags import from_messages, to_messages
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.storage import BagError
from mapkd_core.bags.write import BagWriter
from mapkd_core.geometry import planar


class Edited(BagWriter):
    """Writes a bag in which `edit(topic, message)` may change or drop (None) each message."""

    def __init__(self, path, edit, drive_of):
        super().__init__(path, rig=drive_of.rig(), ego_T_lidar=drive_of.EGO_T_LIDAR)
        self.edit = edit

    def _write(self, topic, stamp_ns, message):
        if (message := self.edit(topic, message)) is not None:
            super()._write(topic, stamp_ns, message)


@pytest.fixture
def edited(tmp_path, drive_of):
    def write(edit, frames=None):
        with Edited(tmp_path / "drive", edit, drive_of) as writer:
            for frame in frames or drive_of.frames():
                writer.add(frame, drive_of.truth())
        return BagDrive(tmp_path / "drive")

    return write


def on(suffix, change):
    """An edit of the messages whose topic ends in `suffix`."""
    return lambda topic, message: change(message) if topic.endswith(suffix) else message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: None, "CAM_BACK: no camera_info in the bag"),
        (lambda m: replace(m, width=640), "CAM_BACK: images are 64 x 36, calibration is for 640 x 36"),
        (lambda m: replace(m, k=np.zeros(9)), "CAM_BACK: .*is no pinhole camera"),
        (lambda m: replace(m, width=0), "CAM_BACK: .*CameraInfo of 0 x 36 pixels is empty"),
        (lambda m: replace(m, k=np.full(9, np.nan)), "CAM_BACK: .*NaN"),
    ],
)
def test_unusable_camera_info_is_named_with_value_and_remedy(edited, change, words):
    with edited(on("cam_back/camera_info", change)) as drive, pytest.raises(BagError, match=words) as error:
        list(drive.frames())
    assert "--calibration" in str(error.value)


def test_binning_and_region_of_interest_are_part_of_the_intrinsics(edited, drive_of):
    """The sensor has 148 x 92 pixels; the image is its part from (20, 10), 128 x 72, binned by two."""

    def full_sensor(message):
        K = drive_of.K.copy()
        K[:2] *= 2
        K[:2, 2] += (20, 10)
        roi = replace(message.roi, x_offset=20, y_offset=10, width=128, height=72)
        return replace(message, k=K.ravel(), width=148, height=92, binning_x=2, binning_y=2, roi=roi)

    with edited(on("/camera_info", full_sensor)) as drive:
        assert all(np.allclose(camera.K, drive_of.K) for camera in drive.rig.cameras)


def test_distortion_is_reported_not_ignored(edited):
    with edited(on("cam_back/camera_info", lambda m: replace(m, d=np.array([-0.3, 0.1, 0, 0, 0])))) as drive:
        assert any("cam_back/camera_info: distortion up to 0.3" in problem for problem in drive.problems)


def test_damaged_pictures_are_counted_and_the_others_go_on(edited, drive_of):
    seen = []

    def damage(message):
        seen.append(message)
        kinds = {2: message.data[:-50], 3: np.frombuffer(drive_of.jpeg(np.zeros((8, 8, 3), np.uint8)), np.uint8)}
        return replace(message, data=kinds.get(len(seen), message.data))

    with edited(on("cam_back/image/compressed", damage)) as drive:
        frames = list(drive.frames())
        assert drive.counts == {"frames": 4, "rejected CAM_BACK": 2}
        assert any("cut off" in problem for problem in drive.problems)
        assert any("image is 8 x 8, not 64 x 36" in problem for problem in drive.problems)
    blind = [[camera.name for camera in frame.cameras if camera.image is None] for frame in frames]
    assert blind == [[], ["CAM_BACK"], ["CAM_BACK"], []]


def test_a_camera_that_stops_is_missing_from_then_on(edited, drive_of):
    end_ns = drive_of.START_NS + 150_000_000

    def stop(message):
        return message if message.header.stamp.sec * 10**9 + message.header.stamp.nanosec < end_ns else None

    with edited(on("cam_back/image/compressed", stop)) as drive:
        list(drive.frames())
        assert drive.counts == {"frames": 4, "missing CAM_BACK": 2}


def test_without_poses_cameras_stay_where_they_are_mounted(edited, drive_of):
    with edited(lambda topic, message: None if topic in ("/odom", "/tf") else message) as drive:
        frames = list(drive.frames())
        assert drive.counts == {"frames": 4, "no pose": 4}
    mounted = {camera.name: camera.ego_T_camera for camera in drive_of.rig()}
    assert all(frame.odom_T_ego is None for frame in frames)
    assert all(np.allclose(c.ego_T_camera, mounted[c.name]) for frame in frames for c in frame.cameras)


def test_tf_gives_the_pose_where_there_is_no_odometry(edited, drive_of):
    with edited(lambda topic, message: None if topic == "/odom" else message) as drive:
        for got, want in zip(drive.frames(), drive_of.frames(), strict=True):
            assert np.allclose(got.odom_T_ego, want.odom_T_ego, atol=1e-9)


def test_mountings_that_tf_does_not_connect_are_named(edited):
    with edited(lambda topic, message: None if topic == "/tf_static" else message) as drive:
        assert drive.rig.missing["CAM_BACK"] == "tf does not connect base_link and cam_back"
        with pytest.raises(BagError, match="tf does not connect base_link and cam_back"):
            drive.rig.cameras  # noqa: B018


def test_points_that_cannot_be_read_are_counted(edited):
    broken = on("/lidar_top", lambda m: replace(m, fields=m.fields[1:]))
    with edited(broken) as drive:
        assert [frame.points for frame in drive.frames()] == [None] * 4
        assert drive.counts["rejected lidar"] == 4
        assert any("point cloud has no field x" in problem for problem in drive.problems)


def test_points_with_padding_and_mixed_types_are_read(edited, drive_of):
    """nuScenes drivers differ: ring as uint16, padded points, several rows."""

    def repacked(message):
        rows = message.data.view(np.float32).reshape(-1, 5)
        layout = np.dtype(
            [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("pad", "V4"), ("ring", "<u2"), ("intensity", "<f4")]
        )
        packed = np.zeros((5, 10), layout)
        for index, name in enumerate(("x", "y", "z", "intensity")):
            packed[name] = rows[:, index].reshape(5, 10)
        packed["ring"] = np.arange(50).reshape(5, 10)
        padded = np.pad(packed.view(np.uint8).reshape(5, -1), ((0, 0), (0, 7)))
        kinds = {"x": 7, "y": 7, "z": 7, "ring": 4, "intensity": 7}
        fields = [
            replace(message.fields[0], name=name, offset=layout.fields[name][1], datatype=kind)
            for name, kind in kinds.items()
        ]
        return replace(
            message,
            height=5,
            width=10,
            fields=fields,
            point_step=layout.itemsize,
            row_step=padded.shape[1],
            data=padded.ravel(),
        )

    with edited(on("/lidar_top", repacked)) as drive:
        for number, frame in enumerate(drive.frames()):
            assert np.allclose(frame.points[:, :4], drive_of.points(number)[:, :4], atol=1e-5)
            assert np.array_equal(frame.points[:, 4], np.arange(50))


def test_a_bag_without_the_anchor_takes_another_camera_and_says_so(edited, drive_of):
    frames = [replace(frame, cameras=frame.cameras[1:]) for frame in drive_of.frames()]
    with edited(lambda topic, message: message, frames) as drive:
        assert drive.anchor in ("CAM_BACK", "CAM_FRONT_LEFT")
        assert any("no camera CAM_FRONT" in problem for problem in drive.problems)
        assert len(list(drive.frames())) == 4


def test_frames_can_be_read_again_and_are_the_same(edited):
    with edited(lambda topic, message: message) as drive:
        first, second = list(drive.frames()), list(drive.frames())
        assert drive.counts == {"frames": 4}
    for a, b in zip(first, second, strict=True):
        assert a.stamp_ns == b.stamp_ns
        assert all(np.array_equal(x.image, y.image) for x, y in zip(a.cameras, b.cameras, strict=True))


def test_a_moving_mounting_is_reported(edited):
    """A pan-tilt camera: /tf turns it a little further with each message, /tf_static does not speak of it."""
    yaws = iter(np.arange(0, 1, 0.01))

    def edit(topic, message):
        if topic == "/tf_static":
            return replace(message, transforms=[t for t in message.transforms if t.child_frame_id != "cam_back"])
        if topic == "/tf":
            stamp_ns = from_messages.stamp_ns(message.transforms[0].header)
            turned = to_messages.transforms(stamp_ns, [("base_link", "cam_back", planar(0, 0, next(yaws)))])
            return replace(message, transforms=[*message.transforms, *turned.transforms])
        return message

    with edited(edit) as drive:
        assert drive.rig.cameras
        assert any("mounting of cam_back changes over time" in problem for problem in drive.problems)
