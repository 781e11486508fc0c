# SPDX-License-Identifier: Apache-2.0
"""The QoS profiles of mapkd's topics (REP-2003)."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Outputs: reliable. The writer keeps the last ten until they are acknowledged, or a reader that is busy for a moment
# would lose maps that went out; who wants the newest only reads with NEWEST. Legend and /tf_static stay for those who
# come late.
OUTPUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STATIC_TRANSFORMS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
TRANSFORMS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
ODOMETRY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
# For those who must not miss one: evaluation and recording.
LOSSLESS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)


def images(reliability: str, depth: int) -> QoSProfile:
    """reliability: best_effort or reliable."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy[reliability.upper()])
