# SPDX-License-Identifier: Apache-2.0
"""Frames from camera sets: a static point must project to the same pixel whenever a camera of a moving car looked."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

from mapkd_core.data.encoded_image import EncodedImage
from mapkd_core.data.reduced import Picture
from mapkd_core.geometry import apply, from_euler, inverse, planar, project, transform
from mapkd_ros.frame_set import FrameSet, Stamped
from mapkd_ros.frames import FrameAssembler
from mapkd_ros.map_messages import header
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.transforms import TransformBuffer

MS = 1_000_000
START_NS = 1_700_000_000 * 10**9
OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
BASE_T_FRONT = transform(OPTICAL, [1.7, 0, 1.5])
BASE_T_LEFT = transform(from_euler(0, 0, 1.0) @ OPTICAL, [1.5, 0.5, 1.5])
K = np.array([[1260.0, 0, 800], [0, 1260.0, 450], [0, 0, 1]])
IMAGE = np.zeros((900, 1600, 3), np.uint8)


def odom_T_ego(time_ns):
    """15 m/s on a curve of 50 m radius."""
    seconds = (time_ns - START_NS) / 1e9
    yaw = 0.3 * seconds
    return planar(50 * np.sin(yaw), 50 * (1 - np.cos(yaw)), yaw)


def info() -> CameraInfo:
    return CameraInfo(width=1600, height=900, k=K.reshape(-1).tolist(), d=[0.0] * 5)


def frame_set(offset_ms=40) -> FrameSet:
    payload = lambda name: SimpleNamespace(header=header(1, name.lower()))  # noqa: E731
    at = START_NS + 1010 * MS
    frames = {
        "FRONT": Stamped(at, payload("FRONT")),
        "LEFT": Stamped(at + offset_ms * MS, payload("LEFT")),
    }
    return FrameSet(at, "FRONT", frames, {"FRONT": "ok", "LEFT": "ok"})


@pytest.fixture
def transforms():
    buffer = TransformBuffer()
    buffer.add("base_link", "front", 0, BASE_T_FRONT, is_static=True)
    buffer.add("base_link", "left", 0, BASE_T_LEFT, is_static=True)
    return buffer


def fill(add):
    for step in range(0, 2000, 83):
        add(START_NS + step * MS, odom_T_ego(START_NS + step * MS))


@pytest.mark.parametrize("source", ["odometry", "tf"])
@pytest.mark.parametrize("offset_ms", [-45, 40])
def test_a_static_point_projects_within_a_pixel_at_15_m_s(transforms, source, offset_ms):
    odometry = OdometryTrack()
    fill(odometry.add if source == "odometry" else lambda at, pose: transforms.add("odom", "base_link", at, pose))
    result = FrameAssembler(transforms, odometry).assemble(
        frame_set(offset_ms), {"FRONT": info(), "LEFT": info()}, lambda _: Picture(IMAGE)
    )
    left = result.frame.cameras[1]
    taken_ns = result.frame.stamp_ns + offset_ms * MS
    points_then = apply(BASE_T_LEFT, [[0.5, 1.2, 8.0], [-2.0, 1.5, 15.0], [3.0, 0.5, 20.0]])
    true_pixels, _ = project(points_then, K, BASE_T_LEFT)
    points_now = apply(inverse(odom_T_ego(result.frame.stamp_ns)) @ odom_T_ego(taken_ns), points_then)
    pixels, _ = project(points_now, left.K, left.ego_T_camera)
    assert np.linalg.norm(pixels - true_pixels, axis=1).max() < 1.0
    uncorrected, _ = project(points_now, K, BASE_T_LEFT)
    assert np.linalg.norm(uncorrected - true_pixels, axis=1).min() > 10, "the correction must matter here"
    assert result.has_ego_motion
    np.testing.assert_allclose(result.frame.odom_T_ego, odom_T_ego(result.frame.stamp_ns), atol=0.02)


def test_without_odometry_the_mounts_are_used_and_it_is_said(transforms):
    result = FrameAssembler(transforms, OdometryTrack()).assemble(
        frame_set(), {"FRONT": info(), "LEFT": info()}, lambda _: Picture(IMAGE)
    )
    assert not result.has_ego_motion and result.frame.odom_T_ego is None
    np.testing.assert_allclose(result.frame.cameras[1].ego_T_camera, BASE_T_LEFT)


def test_each_camera_fails_alone(transforms):
    assembler = FrameAssembler(transforms, OdometryTrack(), frame_ids={"LEFT": "nowhere"})
    result = assembler.assemble(frame_set(), {"LEFT": info()}, lambda _: Picture(IMAGE))
    assert not result.frame.cameras
    assert "no CameraInfo" in result.rejected["FRONT"]
    assert "from nowhere to base_link" in result.rejected["LEFT"]


def test_a_changed_mount_is_used_at_once(transforms):
    assembler = FrameAssembler(transforms, OdometryTrack())
    moved = transform(OPTICAL, [2.0, 0, 1.5])
    transforms.add("base_link", "front", 0, moved, is_static=True)
    result = assembler.assemble(frame_set(), {"FRONT": info(), "LEFT": info()}, lambda _: Picture(IMAGE))
    np.testing.assert_allclose(result.frame.cameras[0].ego_T_camera, moved)


def test_swapped_topics_are_told_and_the_camera_is_where_its_image_says(transforms):
    frames = frame_set(0).frames
    frames["FRONT"].payload.header.frame_id, frames["LEFT"].payload.header.frame_id = "left", "front"
    infos = {name: CameraInfo(width=1600, height=900, k=K.reshape(-1).tolist(), d=[0.0] * 5) for name in frames}
    infos["LEFT"].header.frame_id = "left"
    swapped = FrameSet(START_NS, "FRONT", frames, {"FRONT": "ok", "LEFT": "ok"})
    result = FrameAssembler(transforms, OdometryTrack()).assemble(swapped, infos, lambda _: Picture(IMAGE))
    assert (
        "looks to 57 degrees" in result.doubts["FRONT"]
        and "images are of front, its CameraInfo of left" in result.doubts["LEFT"]
    )
    np.testing.assert_allclose(result.frame.cameras[0].ego_T_camera, BASE_T_LEFT)


def test_where_odometry_has_ended_the_transforms_give_the_motion(transforms):
    odometry = OdometryTrack()
    for step in range(3):
        odometry.add(START_NS + step * 10 * MS, np.eye(4))
    fill(lambda at, pose: transforms.add("odom", "base_link", at, pose))
    result = FrameAssembler(transforms, odometry).assemble(
        frame_set(), {"FRONT": info(), "LEFT": info()}, lambda _: Picture(IMAGE)
    )
    assert result.has_ego_motion
    np.testing.assert_allclose(result.frame.odom_T_ego, odom_T_ego(result.frame.stamp_ns), atol=0.02)


def test_a_gap_in_odometry_is_not_filled_with_poses_of_another_frame(transforms):
    """Odometry in `map`, 1000 m from the odom of /tf, and a set that only the latter covers."""
    odometry = OdometryTrack()
    odometry.tell(START_NS, planar(1000, 0, 0), "map")
    fill(lambda at, pose: transforms.add("odom", "base_link", at, pose))
    assemble = lambda: FrameAssembler(transforms, odometry).assemble(  # noqa: E731
        frame_set(), {"FRONT": info(), "LEFT": info()}, lambda _: Picture(IMAGE)
    )
    without = assemble()
    assert without.frame.odom_T_ego is None and not without.has_ego_motion and without.odom == "map"
    transforms.add("map", "odom", 0, planar(1000, 0, 0), is_static=True)
    result = assemble()
    expected = planar(1000, 0, 0) @ odom_T_ego(result.frame.stamp_ns)
    np.testing.assert_allclose(result.frame.odom_T_ego, expected, atol=0.02)


def test_waiting_for_pictures_is_told_apart_from_the_rest(transforms, monkeypatch):
    def slowly(payload):
        time.sleep(0.03)
        if payload.header.frame_id == "left":
            raise ValueError("damaged")
        return Picture(IMAGE)

    look_up = transforms.lookup_or_latest
    monkeypatch.setattr(transforms, "lookup_or_latest", lambda *given: time.sleep(0.2) or look_up(*given))
    begin_s = time.monotonic()
    result = FrameAssembler(transforms, OdometryTrack()).assemble(
        frame_set(), {"FRONT": info(), "LEFT": info()}, slowly
    )
    assert 0.06 <= result.waited_s <= time.monotonic() - begin_s - 0.2 and "LEFT" in result.rejected


def test_of_the_wait_that_for_the_network_is_told_apart(transforms):
    """One picture is decoded and then seen, one is there at once."""

    def seen(payload):
        pixels = np.zeros_like(IMAGE)
        if payload.header.frame_id == "left":
            return Picture(EncodedImage(pixels, {}, None, time.monotonic() - 1.0))
        time.sleep(0.03)
        begin_s = time.monotonic()
        time.sleep(0.05)
        return Picture(EncodedImage(pixels, {}, None, begin_s))

    result = FrameAssembler(transforms, OdometryTrack()).assemble(frame_set(), {"FRONT": info(), "LEFT": info()}, seen)
    assert len(result.frame.cameras) == 2
    assert 0.05 <= result.encoded_s < 0.08 <= result.encoded_s + result.waited_s and result.waited_s >= 0.03


def test_where_the_cameras_stand_is_told_before_their_pictures_are_waited_for(transforms):
    told = []
    odometry = OdometryTrack()
    fill(odometry.add)

    def picture_of(payload):
        assert told, "a picture was asked for first"
        return Picture(IMAGE)

    assembler = FrameAssembler(transforms, odometry, expect=told.append)
    result = assembler.assemble(frame_set(), {"FRONT": info(), "LEFT": info()}, picture_of)
    for pose, camera in zip(told[0], result.frame.cameras, strict=True):
        np.testing.assert_array_equal(pose, camera.ego_T_camera)
