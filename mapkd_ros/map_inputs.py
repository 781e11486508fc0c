# SPDX-License-Identifier: Apache-2.0
"""What an active map node listens to, and what that fills: cameras, transforms, odometry."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from mapkd_core.data.reduced import Reduction, whole
from mapkd_ros import qos
from mapkd_ros.camera_input import Ahead, CameraInput, unchanged
from mapkd_ros.conversions import odometry_pose, stamp_ns
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.pose_track import PoseUnavailableError
from mapkd_ros.qos_events import asked, destroy, on_mismatch
from mapkd_ros.transforms import TransformBuffer

Dropped = Callable[[str, str], None]  # (reason, message): counted and logged


class MapInputs:
    """Subscriptions from activation to deactivation; `close` frees them and ends the decoders.

    reduction: of the network, to whose size pictures are brought. ahead: asked at each image, as of CameraInput.
    cameras: name -> CameraInput. transforms, odometry: what /tf, /tf_static and odom have told so far.
    """

    def __init__(
        self,
        node: Node,
        settings: MapParameters,
        dropped: Dropped,
        reduction: Reduction = whole,
        ahead: Callable[[], Ahead] = lambda: unchanged,
    ) -> None:
        self._node, self._base_frame, self._dropped = node, settings.frames.base.lstrip("/"), dropped
        self.transforms, self.odometry = TransformBuffer(), OdometryTrack(settings.frames.odom)
        self._has_odometry = False
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "decode")
        profile = qos.images(settings.qos.image_reliability, settings.qos.image_depth)
        self.cameras = {
            name: CameraInput(node, name, settings.transport(name), profile, self._decoders, reduction, ahead)
            for name in settings.cameras.names
        }
        self._heard: list[Any] = []
        self.hear(Odometry, "odom", self._on_odometry, qos.ODOMETRY)
        self.hear(TFMessage, "/tf", lambda m: self.transforms.add_message(m, False), qos.TRANSFORMS)
        self.hear(TFMessage, "/tf_static", lambda m: self.transforms.add_message(m, True), qos.STATIC_TRANSFORMS)

    def hear(self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile) -> None:
        """Subscribe until `close`; a publisher whose QoS does not fit is named."""
        events = on_mismatch(self._node, topic, lambda: self._dropped("qos_incompatible", ""))
        heard = self._node.create_subscription(kind, topic, callback, profile, event_callbacks=events)
        self._heard.append(asked(self._node, heard))

    def close(self) -> None:
        for camera in self.cameras.values():
            camera.close()
        for subscription in self._heard:
            destroy(self._node, subscription)
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def forget(self) -> None:
        """Motion starts anew; mounts stay. A camera whose topic may be another now is looked for."""
        self.odometry.clear()
        for camera in self.cameras.values():
            camera.look_again()
        self.transforms.forget_motion(self._base_frame)

    def _on_odometry(self, message: Odometry) -> None:
        try:
            pose = self._odom_T_base(message)
        except (ValueError, PoseUnavailableError) as error:
            self._dropped("odometry_rejected", f"odometry not used: {error}")
            return
        before = self.odometry.tell(stamp_ns(message.header.stamp), pose, message.header.frame_id)
        if before and self._has_odometry:
            self._dropped("odometry_frame_changed", f"odometry is in {self.odometry.frame}, before in {before}: anew")
        self._has_odometry = True

    def _odom_T_base(self, message: Odometry) -> Any:
        """The pose of the base, whichever of the vehicle's frames the odometry is of: an IMU's, an antenna's.

        Without a child_frame_id it is taken for the base's. PoseUnavailableError for a frame that nobody can place.
        """
        odom_T_child, child = odometry_pose(message), message.child_frame_id.lstrip("/")
        if child in ("", self._base_frame):
            return odom_T_child
        try:
            return odom_T_child @ self.transforms.lookup(child, self._base_frame, None)
        except PoseUnavailableError as error:
            raise PoseUnavailableError(
                f"its child_frame_id is {child}, frames.base is {self._base_frame}: {error}"
            ) from error
