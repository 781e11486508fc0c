# SPDX-License-Identifier: Apache-2.0
"""Pose tracks and the transform buffer against hand-worked poses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mapkd_core.geometry import from_euler, inverse, planar, transform
from mapkd_ros.pose_track import PoseTrack, PoseUnavailableError
from mapkd_ros.transforms import TransformBuffer

SECOND = 10**9


def test_a_track_interpolates_and_bounds_extrapolation():
    track = PoseTrack()
    for half_seconds in (2, 0, 1):
        track.add(half_seconds * SECOND // 2, planar(5.0 * half_seconds, 0, 0))
    assert track.at(SECOND // 4)[0, 3] == pytest.approx(2.5)
    assert track.at(SECOND + SECOND // 20, SECOND // 10)[0, 3] == pytest.approx(10.5)
    with pytest.raises(PoseUnavailableError, match=r"500\.0 ms after the newest"):
        track.at(SECOND + SECOND // 2, SECOND // 10)
    with pytest.raises(PoseUnavailableError, match="no pose received"):
        PoseTrack().at(0)


def test_nothing_is_interpolated_over_a_long_gap():
    """Two poses 2 s apart: a vehicle may have turned and stopped in between. At the samples themselves all is known."""
    track = PoseTrack()
    for second in (0, 2, 3):
        track.add(second * SECOND, planar(second, 0, 0))
    with pytest.raises(PoseUnavailableError, match="2000 ms apart, more than 1000 ms"):
        track.at(SECOND)
    assert track.at(0)[0, 3] == 0 and track.at(2 * SECOND)[0, 3] == 2
    assert track.at(5 * SECOND // 2)[0, 3] == pytest.approx(2.5), "half a second and a second are no long gaps"


def test_a_forgotten_motion_leaves_the_mounts():
    buffer = TransformBuffer()
    buffer.add("odom", "base", 0, planar(5, 0, 0))
    buffer.add("base", "camera", 0, planar(1, 0, 0), is_static=True)
    for second in (0, 1):
        buffer.add("base", "lidar", second * SECOND, planar(2 + second, 0, 0))
    buffer.forget_motion("/base")
    assert buffer.lookup("base", "camera", None)[0, 3] == 1
    assert buffer.lookup_or_latest("base", "lidar", 0)[0, 3] == 3, "of a mount told on /tf the newest"
    with pytest.raises(PoseUnavailableError):
        buffer.lookup("odom", "base", None)


@pytest.mark.parametrize("ahead", [True, False])
def test_noise_of_close_samples_is_not_extrapolated(ahead):
    """10 m/s in steps of 1 ms with a millimetre of noise: from two neighbours, 100 ms ahead would be 10 cm off."""
    track = PoseTrack()
    for step in range(200):
        track.add(step * SECOND // 1000, planar(0.01 * step + 0.001 * (step % 2), 0, 0))
    at_ns = 299 * SECOND // 1000 if ahead else -SECOND // 10
    assert track.at(at_ns, SECOND // 10)[0, 3] == pytest.approx(10 * at_ns / SECOND, abs=0.005)
    short = PoseTrack()
    for step in (0, 1):
        short.add(step * SECOND // 100, planar(0.1 * step, 0, 0))
    assert short.at(SECOND // 50, SECOND // 10)[0, 3] == pytest.approx(0.2)


def test_a_track_forgets_the_old_and_restarts_on_a_jump_back():
    track = PoseTrack(keep_ns=3 * SECOND)
    for second in range(10):
        track.add(second * SECOND, planar(second, 0, 0))
    assert len(track) == 4
    track.add(SECOND, planar(1, 0, 0))
    assert len(track) == 1


def test_chains_go_up_and_down_the_tree():
    buffer = TransformBuffer()
    base_T_front = transform(from_euler(0, 0, 0.3), [1.7, 0.1, 1.5])
    base_T_lidar = transform(np.eye(3), [0.9, 0, 1.8])
    buffer.add("/base_link", "/cam_front", 0, base_T_front, is_static=True)
    buffer.add("base_link", "lidar_top", 0, base_T_lidar, is_static=True)
    buffer.add("odom", "base_link", 0, planar(0, 0, 0))
    buffer.add("odom", "base_link", SECOND, planar(10, 0, 0))
    np.testing.assert_allclose(buffer.lookup("lidar_top", "cam_front", 7), inverse(base_T_lidar) @ base_T_front)
    np.testing.assert_allclose(buffer.lookup("odom", "cam_front", SECOND // 2), planar(5, 0, 0) @ base_T_front)
    np.testing.assert_allclose(buffer.lookup("base_link", "odom", None), inverse(planar(10, 0, 0)))
    np.testing.assert_allclose(buffer.lookup_or_latest("odom", "base_link", 99 * SECOND), planar(10, 0, 0))


def test_missing_frames_and_loops_are_named():
    buffer = TransformBuffer()
    buffer.add("base_link", "cam_front", 0, np.eye(4), is_static=True)
    with pytest.raises(PoseUnavailableError, match="from cam_back to base_link; frames known: base_link, cam_front"):
        buffer.lookup("base_link", "cam_back", 0)
    buffer.add("cam_front", "base_link", 0, np.eye(4), is_static=True)
    with pytest.raises(PoseUnavailableError, match="loop"):
        buffer.lookup("base_link", "cam_front", 0)


def test_a_transform_that_is_no_rotation_is_counted_and_not_used():
    buffer = TransformBuffer()
    zero = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=0.0)
    header = SimpleNamespace(frame_id="base_link", stamp=SimpleNamespace(sec=1, nanosec=0))
    message = SimpleNamespace(
        header=header, child_frame_id="cam", transform=SimpleNamespace(translation=zero, rotation=zero)
    )
    buffer.add_message(SimpleNamespace(transforms=[message]), is_static=True)
    assert buffer.rejected == 1 and "base_link -> cam" in buffer.last_rejection
    with pytest.raises(PoseUnavailableError):
        buffer.lookup("base_link", "cam", 0)


@pytest.mark.parametrize("step_ns", [1, SECOND // 50], ids=["a double-rate sensor", "50 Hz"])
def test_a_clock_set_back_a_little_leaves_no_two_pasts_in_one_track(step_ns):
    """20 m/s at 50 Hz, then 0.6 s back, where the vehicle is 12 m farther than it was then."""
    track, period = PoseTrack(), SECOND // 50
    for i in range(100):
        track.add(i * period, planar(0.4 * i, 0, 0))
    for i in range(100, 110):
        track.add(i * period - 30 * period + step_ns, planar(0.4 * i, 0, 0))
        if i >= 102:  # the third tells
            at_ns = i * period - 30 * period + step_ns
            moved = track.at(at_ns)[0, 3] - track.at(at_ns - period)[0, 3]
            assert moved == pytest.approx(0.4), "and nothing of what it has heard since is lost"
    assert len(track) == 10


def test_samples_that_are_overtaken_or_sent_twice_are_no_clock_set_back():
    track = PoseTrack()
    for i in (0, 2, 1, 3, 6, 5, 4, 4, 4, 4, 7, 9, 8):
        track.add(i * SECOND // 100, planar(i, 0, 0))
    assert len(track) == 10
    assert [track.at(i * SECOND // 100)[0, 3] for i in range(10)] == list(range(10))
