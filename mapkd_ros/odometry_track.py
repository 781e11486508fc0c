# SPDX-License-Identifier: Apache-2.0
"""The vehicle's pose by its odometry over time, and the frame that it is told in. No ROS."""

from __future__ import annotations

from mapkd_core.geometry import Matrix
from mapkd_ros.pose_track import PoseTrack


class OdometryTrack(PoseTrack):
    """Samples of odom_T_base. frame: what `odom` stands for: that of the last message, else the one given.

    Localisers tell their odometry in `map` as often as in `odom`. Poses of two frames are never mixed, nor may what was
    fused in one be published as of the other: whoever needs the frame, asks here.
    """

    def __init__(self, frame: str = "odom") -> None:
        super().__init__()
        self.frame = self._default = frame.lstrip("/")

    def tell(self, stamp_ns: int, odom_T_base: Matrix, frame_id: str) -> str:
        """Add a sample of a message whose header names that frame, or none. Another one than before starts anew.

        The frame before is returned then, else an empty string.
        """
        frame, before = frame_id.lstrip("/") or self._default, self.frame
        is_other = frame != before
        if is_other:
            self.clear()
            self.frame = frame
        self.add(stamp_ns, odom_T_base)
        return before if is_other else ""
