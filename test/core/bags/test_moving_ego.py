# SPDX-License-Identifier: Apache-2.0
"""A static point seen by cameras that fire tens of milliseconds apart, through a bag; test/ros/test_frames.py has the
node's own path."""

import numpy as np

from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.write import BagWriter
from mapkd_core.geometry import apply, inverse, planar, project

SPEED, TURN = 15.0, 0.3  # m/s, rad/s
AGES_NS = {"CAM_FRONT": 0, "CAM_FRONT_LEFT": 18_000_000, "CAM_BACK": 45_000_000}


def pose_at(stamp_ns, start_ns):
    """odom_T_ego on a circle."""
    angle = TURN * (stamp_ns - start_ns) / 1e9
    radius = SPEED / TURN
    return planar(radius * np.sin(angle), radius * (1 - np.cos(angle)), angle)


def test_a_static_point_projects_within_a_pixel_at_15_m_s(tmp_path, drive_of, monkeypatch):
    monkeypatch.setattr(drive_of, "AGES_NS", AGES_NS)
    monkeypatch.setattr(drive_of, "pose_at", lambda stamp_ns: pose_at(stamp_ns, drive_of.START_NS))
    with BagWriter(tmp_path / "drive", rig=drive_of.rig(), ego_T_lidar=drive_of.EGO_T_LIDAR) as writer:
        for frame in drive_of.frames():
            writer.add(frame, drive_of.truth())
    mounted = {camera.name: camera for camera in drive_of.rig()}
    worst, uncorrected = 0.0, 0.0
    with BagDrive(tmp_path / "drive") as drive:
        frames = list(drive.frames())
    for frame in frames[1:]:
        odom_T_now = pose_at(frame.stamp_ns, drive_of.START_NS)
        for camera in frame.cameras:
            mount = mounted[camera.name].ego_T_camera
            odom_T_then = pose_at(camera.stamp_ns, drive_of.START_NS)
            point = apply(odom_T_then @ mount, [0.5, 1.2, 6.0])  # where a wheel track lies, 6 m from the camera
            true, _ = project(apply(inverse(odom_T_then), point), camera.K, mount)
            seen, _ = project(apply(inverse(odom_T_now), point), camera.K, camera.ego_T_camera)
            late, _ = project(apply(inverse(odom_T_now), point), camera.K, mount)
            scale = 1600 / camera.width  # pixels of a full-size picture
            worst = max(worst, scale * np.linalg.norm(seen - true))
            uncorrected = max(uncorrected, scale * np.linalg.norm(late - true))
    assert len(frames) >= 3 and worst < 1.0
    assert uncorrected > 20, "the correction must matter here"
