# SPDX-License-Identifier: Apache-2.0
"""Stand-in of ROS 2's message_filters for machines without a distribution: Subscriber and SimpleFilter, no more.

Written from the public API documentation. environment/setup.sh puts it into the overlay only where the real package is
absent. Anything else of message_filters answers with an AttributeError that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

__all__ = ["SimpleFilter", "Subscriber"]


class SimpleFilter:
    """Hands every message it is signalled to its callbacks, in the order of their registration."""

    def __init__(self) -> None:
        self._connected: list[Callable[..., object]] = []

    def registerCallback(self, cb: Callable[..., object], *args: Any) -> int:
        """Calls `cb(*messages, *args)` for each message from now on; returns the number of the connection."""
        self._connected.append(lambda *messages: cb(*messages, *args))
        return len(self._connected) - 1

    def signalMessage(self, *msg: Any) -> None:
        """Calls all callbacks with the message (or messages)."""
        for call in self._connected:
            call(*msg)


class Subscriber(SimpleFilter):
    """A subscription as the first filter of a chain: `Subscriber(node, type, topic, qos_profile=...)`."""

    def __init__(
        self, node: Node, msg_type: type, topic: str, *, qos_profile: QoSProfile | int = 10, **options: Any
    ) -> None:
        """options: further keyword arguments of Node.create_subscription, such as callback_group."""
        super().__init__()
        self._topic = topic
        self.sub = node.create_subscription(msg_type, topic, self.signalMessage, qos_profile, **options)

    def getTopic(self) -> str:
        """The topic as it was asked for."""
        return self._topic


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"message_filters.{name}: this is mapkd's stand-in, which has {', '.join(__all__)} only; "
        "install ROS 2's message_filters for the rest"
    )
