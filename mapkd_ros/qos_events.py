# SPDX-License-Identifier: Apache-2.0
"""What the middleware keeps to itself: publishers whose QoS does not fit, and messages lost on the way.

What may go while its node goes on, as at each transition of a managed node, has its events asked for now and then
(`asked`, `ask`, `destroy`). Left to rclpy's EventsExecutor, an event that is on its way while its subscription goes
takes the process with it: rclpy 9.1 then calls Python without the interpreter's lock (ros2/rclpy#1644).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import qos_policy_name_from_kind

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

Entity = TypeVar("Entity")  # a publisher or a subscription
_HANDLERS: WeakKeyDictionary[Node, dict[Any, list[Any]]] = WeakKeyDictionary()
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
        for _ in range(event.total_count_change):
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


def asked(node: Node, entity: Entity) -> Entity:
    """A publisher or subscription just made, whose events `ask` tells from now on instead of the executor."""
    handlers = list(entity.event_handlers)  # type: ignore[attr-defined]
    for handler in handlers:
        node.remove_waitable(handler)
    entity.event_handlers.clear()  # type: ignore[attr-defined]
    _HANDLERS.setdefault(node, {})[entity] = handlers
    return entity


def ask(node: Node) -> None:
    """Tell what happened to the node's `asked` publishers and subscriptions since the last time."""
    for handlers in list(_HANDLERS.get(node, {}).values()):
        for handler in handlers:
            handler.add_to_wait_set(_NOW)
            handler.is_ready(_NOW)
            event = handler.take_data()
            if event is not None and event.total_count_change > 0:
                handler.callback(event)


def destroy(node: Node, entity: Any) -> None:
    """Free what was `asked`, events first."""
    for handler in _HANDLERS.get(node, {}).pop(entity, ()):
        handler.destroy()
    (node.destroy_publisher if isinstance(entity, Publisher) else node.destroy_subscription)(entity)


class _Now:
    """In place of a wait set, which tells a handler that something happened: whether it did stands in the event."""

    def add_event(self, event: Any) -> int:
        return 0

    def is_ready(self, kind: str, index: int) -> bool:
        return True


_NOW = _Now()
