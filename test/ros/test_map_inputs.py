# SPDX-License-Identifier: Apache-2.0
"""What the map node's inputs make of odometry of other frames, and of a calibration that changes on the way."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rig import camera_info
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from mapkd_core.geometry import planar
from mapkd_ros.map_inputs import MapInputs
from mapkd_ros.map_messages import header
from mapkd_ros.map_parameters import MapParameters

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


@pytest.fixture
def inputs(bench):
    """MapInputs on the bench's node; `told` holds what they refused."""
    told: list[tuple[str, str]] = []
    inputs = MapInputs(bench, MapParameters(), lambda *why: told.append(why))
    inputs.told = told
    yield inputs
    inputs.close()


def odometry(x: float, yaw: float, child: str) -> Odometry:
    message = Odometry(header=header(START_NS, "odom"), child_frame_id=child)
    message.pose.pose.position.x = x
    message.pose.pose.orientation.z, message.pose.pose.orientation.w = np.sin(yaw / 2), np.cos(yaw / 2)
    return message


def antenna_mount() -> TFMessage:
    """base_link -> antenna: 2 m behind the base."""
    mount = TransformStamped(header=header(0, "base_link"), child_frame_id="antenna")
    mount.transform.translation.x, mount.transform.rotation.w = -2.0, 1.0
    return TFMessage(transforms=[mount])


@pytest.mark.parametrize("child", ["", "base_link", "/base_link"])
def test_odometry_of_the_base_is_taken_as_it_is(inputs, child):
    inputs._on_odometry(odometry(7.0, 0.5, child))
    np.testing.assert_allclose(inputs.odometry.latest(), planar(7, 0, 0.5), atol=1e-12)


def test_odometry_of_an_antenna_is_moved_to_the_base(inputs):
    """The antenna at (7, 0) looks along y (90 degrees): the base, 2 m ahead of it, is at (7, 2)."""
    inputs.transforms.add_message(antenna_mount(), is_static=True)
    inputs._on_odometry(odometry(7.0, np.pi / 2, "antenna"))
    np.testing.assert_allclose(inputs.odometry.latest(), planar(7, 2, np.pi / 2), atol=1e-12)
    assert not inputs.told


def test_odometry_of_a_frame_that_nobody_can_place_is_refused_with_both_names(inputs):
    inputs._on_odometry(odometry(7.0, 0.0, "imu"))
    reason, message = inputs.told[0]
    assert reason == "odometry_rejected" and "child_frame_id is imu, frames.base is base_link" in message
    assert len(inputs.odometry) == 0


def test_an_image_gets_the_calibration_of_its_own_time(bench, inputs):
    """It changes at 200 ms; the image of 100 ms had to wait for another camera."""
    bench.offer(CameraInfo, "cam_front/camera_info")
    bench.meet()
    for at_ms, focal in ((0, 50.0), (100, 50.0), (200, 60.0), (300, 60.0)):
        info = camera_info("CAM_FRONT", START_NS + at_ms * MS)
        info.k = [focal, *info.k[1:]]
        bench.send(CameraInfo, "cam_front/camera_info", info)
    camera = inputs.cameras["CAM_FRONT"]
    assert bench.until(lambda: camera.counts["infos"] == 4)
    focals = {at_ms: camera.info_at(START_NS + at_ms * MS).k[0] for at_ms in (-50, 0, 100, 199, 200, 250, 400)}
    # Before the first there is nothing better than the newest.
    assert focals == {-50: 60.0, 0: 50.0, 100: 50.0, 199: 50.0, 200: 60.0, 250: 60.0, 400: 60.0}


def test_of_calibrations_without_a_stamp_the_last_one_is_taken(bench, inputs):
    bench.offer(CameraInfo, "cam_front/camera_info")
    bench.meet()
    for focal in (50.0, 50.0, 60.0):
        info = camera_info("CAM_FRONT", 0)
        info.k = [focal, *info.k[1:]]
        bench.send(CameraInfo, "cam_front/camera_info", info)
    camera = inputs.cameras["CAM_FRONT"]
    assert bench.until(lambda: camera.counts["infos"] == 3)
    assert camera.info_at(START_NS).k[0] == 60.0
