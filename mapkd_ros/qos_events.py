# SPDX-License-Identifier: Apache-2.0
"""What the middleware keeps to itself: publishers whose QoS does not fit, and messages lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_REMEDIES = {
    "RELIABILITY": "make the publisher reliable",
    "DURABILITY": "make the publisher transient local (of a played bag: --qos-profile-overrides-path)",
}


def on_mismatch(
    node: Node,
    topic: str,
    count: Callable[[], None],
    reliability_parameter: str = "",
    lost: Callable[[int], None] | None = None,
) -> SubscriptionEventCallbacks:
    """For create_subscription. count: called once for each publisher with QoS that does not fit, which is logged.

    reliability_parameter: that of this node which would let a best-effort publisher through, if there is one.
    lost: called with the number of messages that were sent and never came, as the gaps in their numbers tell.
    """

    def tell(event: Any) -> None:
        count()
        policy = str(qos_policy_name_from_kind(event.last_policy_kind)).rpartition(".")[2].upper()
        remedy = _REMEDIES.get(policy, "set it as mapkd_ros/qos.py does")
        if policy == "RELIABILITY" and reliability_parameter:
            remedy = f"set {reliability_parameter}: best_effort or {remedy}"
        node.get_logger().error(
            f"{topic}: a publisher offers incompatible QoS ({policy.lower()}); nothing of it arrives; {remedy}"
        )

    if lost is None:
        return SubscriptionEventCallbacks(incompatible_qos=tell)
    return SubscriptionEventCallbacks(incompatible_qos=tell, message_lost=lambda event: lost(event.total_count_change))
