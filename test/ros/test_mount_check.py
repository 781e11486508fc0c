# SPDX-License-Identifier: Apache-2.0
"""Mounts that contradict the name or the messages of their camera; those of real rigs do not."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.geometry import from_euler, transform
from mapkd_core.worlds.rig import nuscenes_rig
from mapkd_ros.mount_check import doubt

OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def mount(yaw_degrees, z=1.5):
    return transform(from_euler(0, 0, np.radians(yaw_degrees)) @ OPTICAL, [1.0, 0, z])


def test_the_nuscenes_rig_is_beyond_doubt_and_every_swap_of_its_cameras_is_seen():
    mounts = {camera.name: camera.ego_T_camera for camera in nuscenes_rig()}
    assert [doubt(name, pose, name.lower(), name.lower()) for name, pose in mounts.items()] == [""] * 6
    for one in mounts:
        for other in set(mounts) - {one}:
            assert doubt(one, mounts[other], "", "") or doubt(other, mounts[one], "", ""), (one, other)


@pytest.mark.parametrize(
    ("name", "yaw"), [("stereo_front_left", 0), ("left", 60), ("rear_view", 180), ("cam0", 200), ("FRONT_RIGHT", -90)]
)
def test_names_of_other_rigs_fit(name, yaw):
    assert doubt(name, mount(yaw), "a", "/a") == ""


@pytest.mark.parametrize(
    ("name", "pose", "frames", "said"),
    [
        ("CAM_LEFT", mount(-90), ("a", "a"), "is a left camera by its name, but looks to -90 degrees"),
        ("CAM_FRONT", mount(0), ("cam_front", "cam_back"), "images are of cam_front, its CameraInfo of cam_back"),
        (
            "CAM_FRONT",
            transform(np.eye(3), [1, 0, 1.5]),
            ("", ""),
            "looks 90 degrees up: the frame must be the optical",
        ),
        ("CAM_FRONT", mount(0, z=0), ("", ""), "0.00 m over the ground"),
    ],
)
def test_what_does_not_fit_is_told_with_the_remedy(name, pose, frames, said):
    assert said in doubt(name, pose, *frames)
