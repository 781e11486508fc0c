# SPDX-License-Identifier: Apache-2.0
"""Topic map/local, an option of the map node: maps of successive frames fused in the odometry frame."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticStatus
from mapkd.msg import InputStatus, VectorMap
from rclpy.node import Node

from mapkd_core.tracking import FusionOptions, MapFusion
from mapkd_core.types import Frame, LocalMap
from mapkd_ros import qos
from mapkd_ros.diagnostics import OK, WARN, ThrottledLog, status
from mapkd_ros.map_messages import header, lasting_map
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.qos_events import asked, destroy

# geometry_msgs/Point32: steps of 8 mm there, of half a metre where UTM counts its northing.
_FAR_M = 1e5


class LastingMap:
    """Told of every map that went out; publishes what it knows then. `close` frees the publisher.

    The worker's thread adds, the executor's reports.
    """

    def __init__(self, node: Node, settings: MapParameters) -> None:
        self._node, self._odom = node, ""
        wanted = settings.fusion
        self._fusion = MapFusion(
            FusionOptions(radius_m=wanted.radius_m, max_misses=wanted.max_misses, min_hits=wanted.min_hits)
        )
        self._radius_m = wanted.radius_m
        self._publisher = asked(node, node.create_publisher(VectorMap, "map/local", qos.OUTPUT))
        self._log = ThrottledLog(node.get_logger())
        self._missing, self._why, self._spent_ms, self._far_m = 0, "", 0.0, 0.0

    def close(self) -> None:
        destroy(self._node, self._publisher)

    def add(self, local_map: LocalMap, frame: Frame, odom: str, told: InputStatus, model_id: str) -> None:
        """Fuse and publish; without a pose the frame is counted and left out.

        odom: the frame of frame.odom_T_ego; another one than before begins anew, as does `told` where it says reset.
        """
        if told.temporal_reset and len(self._fusion):
            self._fusion.reset("time jump")
        if odom != self._odom and len(self._fusion):
            self._fusion.reset("odometry frame")
        self._odom = odom
        begin_s = time.monotonic()
        try:
            if frame.odom_T_ego is None:
                raise ValueError("no odometry and no transform to the odometry frame at the stamp of the map")
            elements = self._fusion.update(local_map, frame.odom_T_ego)
        except ValueError as error:
            self._missing, self._why = self._missing + 1, str(error)
            self._log.warning("fusion", f"a map was not fused: {error}")
            return
        self._why = ""
        head = header(local_map.stamp_ns, odom)
        place = frame.odom_T_ego[:3, 3].tolist()
        self._far_m = max(map(abs, place))
        self._publisher.publish(lasting_map(elements, head, told, model_id, place, self._radius_m))
        self._spent_ms = 1e3 * (time.monotonic() - begin_s)

    def report(self) -> DiagnosticStatus:
        """How many tracks there are, how often it began anew and why, and what was left out."""
        level, message = OK, "fusing"
        if self._far_m > _FAR_M:
            level, message = (
                WARN,
                f"{self._odom} begins {self._far_m / 1e3:.0f} km away: map/local is of single precision",
            )
        if self._why:
            level, message = WARN, f"not fused: {self._why}"
        resets = {f"resets_{reason.replace(' ', '_')}": count for reason, count in sorted(self._fusion.resets.items())}
        values = {
            "frame": self._odom,
            "tracks": len(self._fusion),
            "not_fused": self._missing,
            "fuse_ms": self._spent_ms,
            **resets,
        }
        return status(f"{self._node.get_name()}: fusion", level, message, values)
