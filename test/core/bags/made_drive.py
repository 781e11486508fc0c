# SPDX-License-Identifier: Apache-2.0
"""A vehicle that drives a curve past three small cameras' worth of pictures: what every bag of these tests holds."""

import cv2
import numpy as np

from mapkd_core.geometry import from_euler, inverse, planar, rotation_to_quaternion, transform
from mapkd_core.types import Camera, Frame, MapElement

START_NS = 1_600_000_000_000_000_000
PERIOD_NS = 100_000_000
WIDTH, HEIGHT = 64, 36
K = np.array([[50.0, 0.0, 31.0], [0.0, 52.0, 17.0], [0.0, 0.0, 1.0]])
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
EGO_T_LIDAR = transform(from_euler(0.01, 0.02, -1.57), (0.9, 0.0, 1.8))
# Each camera fires a little before the frame's stamp; CAM_FRONT is the anchor.
AGES_NS = {"CAM_FRONT": 0, "CAM_FRONT_LEFT": 8_000_000, "CAM_BACK": 25_000_000}


def pose_at(stamp_ns):
    """odom_T_ego on a circle: 10 m/s, 0.2 rad/s."""
    seconds = (stamp_ns - START_NS) / 1e9
    yaw = 0.2 * seconds
    return planar(50 * np.sin(yaw) + 3, 50 * (1 - np.cos(yaw)) - 2, yaw)


def rig():
    yaws = {"CAM_FRONT": 0.0, "CAM_FRONT_LEFT": 0.96, "CAM_BACK": np.pi}
    return tuple(
        Camera(name, None, K, transform(from_euler(0, 0, yaw) @ FORWARD, (1.2, 0.1, 1.5)), WIDTH, HEIGHT)
        for name, yaw in yaws.items()
    )


def picture(name, number):
    """Flat colour that says which camera and which frame: survives JPEG within 2 grey levels."""
    return np.full((HEIGHT, WIDTH, 3), (40 + 20 * number, 60 + 40 * list(AGES_NS).index(name), 90), np.uint8)


def points(number):
    return np.random.default_rng(number).normal(size=(50, 5)).astype(np.float32)


def truth():
    return (
        MapElement("divider", np.array([[0.5, 1.25], [5.0, 1.5], [9.0, 2.0]])),
        MapElement("ped_crossing", np.array([[4.0, -3.0], [6.0, -3.0], [6.0, 3.0], [4.0, 3.0]]), True),
    )


def frames(count=4, skewed=True):
    """What the vehicle saw; the poses of skewed cameras have the motion since their stamp folded in."""
    out = []
    for number in range(count):
        stamp_ns = START_NS + number * PERIOD_NS
        cameras = []
        for camera in rig():
            camera_ns = stamp_ns - (AGES_NS[camera.name] if skewed else 0)
            moved = inverse(pose_at(stamp_ns)) @ pose_at(camera_ns) @ camera.ego_T_camera
            image = picture(camera.name, number)
            cameras.append(Camera(camera.name, image, K, moved, WIDTH, HEIGHT, camera_ns))
        out.append(Frame(tuple(cameras), stamp_ns, points(number), pose_at(stamp_ns)))
    return out


def jpeg(rgb):
    return cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()


def quaternion(matrix):
    return rotation_to_quaternion(matrix[:3, :3]).tolist()
