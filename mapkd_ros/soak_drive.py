# SPDX-License-Identifier: Apache-2.0
"""The other side of a soak: publishes six cameras and odometry, one set after the other, and waits for each map."""

from __future__ import annotations

import time
from array import array
from typing import Any

import cv2
import numpy as np
from geometry_msgs.msg import TransformStamped
from mapkd.msg import VectorMap
from nav_msgs.msg import Odometry
from rclpy.executors import Executor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage
from tf2_msgs.msg import TFMessage

from mapkd_core.geometry import rotation_to_quaternion
from mapkd_core.types import Camera
from mapkd_core.worlds.rig import nuscenes_rig, scaled
from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.map_messages import header

PERIOD_NS = 83_333_333
_START_NS = 1_700_000_000_000_000_000
_SPEED_M_S = 10.0
NETWORK_SIZE, STUB_SIZE = (352, 198), (88, 50)  # of the pictures: a stub does not look at them
_INFO_EVERY = 12  # sets; a calibration stays, and each message costs the executor as much as a picture does


class SoakDrive(Node):
    """A straight drive at 10 m/s with pictures of noise, the same in every set; a calibration once a second."""

    def __init__(self, size: tuple[int, int] = NETWORK_SIZE, **options: Any) -> None:
        super().__init__("soak_drive", **options)
        self._cameras = scaled(nuscenes_rig(), *size)
        rng = np.random.default_rng(0)
        noise = [cv2.resize(rng.integers(0, 255, (22, 39, 3), np.uint8), size) for _ in self._cameras]
        self._jpegs = [array("B", cv2.imencode(".jpg", picture)[1].tobytes()) for picture in noise]
        topics = {c.name: c.name.lower() for c in self._cameras}
        self._images = {n: self._offer(CompressedImage, f"{t}/image/compressed") for n, t in topics.items()}
        self._infos = {n: self._offer(CameraInfo, f"{t}/camera_info") for n, t in topics.items()}
        self._odometry = self._offer(Odometry, "odom")
        self._mounts = self.create_publisher(TFMessage, "/tf_static", qos.STATIC_TRANSFORMS)
        self._mounts.publish(TFMessage(transforms=[_mount(camera) for camera in self._cameras]))
        self._answered_ns = 0
        self.create_subscription(VectorMap, "map/local", self._on_map, qos.LOSSLESS)

    def meet(self, executor: Executor, timeout_s: float = 60.0) -> None:
        """Spin until everybody hears everybody; RuntimeError where that takes longer."""
        offered = [*self._images.values(), *self._infos.values(), self._odometry, self._mounts]
        end_s = time.monotonic() + timeout_s
        while not all(p.get_subscription_count() for p in offered) or not self.count_publishers("map/local"):
            if time.monotonic() > end_s:
                raise RuntimeError(f"the map node does not hear the soak's topics within {timeout_s:g} s")
            executor.spin_once(timeout_sec=0.05)

    def ask(self, number: int, executor: Executor, timeout_s: float) -> float | None:
        """Publish set `number`, spin until its map is there; milliseconds, or None where none comes in time."""
        at_ns, begin_s = _START_NS + number * PERIOD_NS, time.monotonic()
        self._odometry.publish(_pose(at_ns, _SPEED_M_S * number * PERIOD_NS / 1e9))
        for camera, jpeg in zip(self._cameras, self._jpegs, strict=True):
            head = header(at_ns, camera.name.lower())
            if number % _INFO_EVERY == 0:
                self._infos[camera.name].publish(_info(camera, head))
            self._images[camera.name].publish(CompressedImage(header=head, format="jpeg", data=jpeg))
        while self._answered_ns < at_ns:
            if time.monotonic() - begin_s > timeout_s:
                return None
            executor.spin_once(timeout_sec=0.05)
        return 1e3 * (time.monotonic() - begin_s)

    def _offer(self, kind: type, topic: str) -> Any:
        return self.create_publisher(kind, topic, qos.LOSSLESS)

    def _on_map(self, message: VectorMap) -> None:
        self._answered_ns = stamp_ns(message.header.stamp)


def _mount(camera: Camera) -> TransformStamped:
    result = TransformStamped(header=header(0, "base_link"), child_frame_id=camera.name.lower())
    place, turn = result.transform.translation, result.transform.rotation
    place.x, place.y, place.z = map(float, camera.ego_T_camera[:3, 3])
    turn.x, turn.y, turn.z, turn.w = map(float, rotation_to_quaternion(camera.ego_T_camera[:3, :3]))
    return result


def _pose(at_ns: int, x: float) -> Odometry:
    message = Odometry(header=header(at_ns, "odom"), child_frame_id="base_link")
    message.pose.pose.position.x, message.pose.pose.orientation.w = x, 1.0
    return message


def _info(camera: Camera, head: Any) -> CameraInfo:
    k = [float(value) for value in camera.K.ravel()]
    return CameraInfo(header=head, width=camera.width, height=camera.height, k=k, d=[0.0] * 5)
