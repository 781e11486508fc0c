# SPDX-License-Identifier: Apache-2.0
"""How a node says that it hears those it needs. Discovery takes seconds at times, and what comes before it is lost."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Empty

from mapkd_ros import qos
from mapkd_ros.qos_events import asked, destroy

TOPIC = "ready"


class Readiness:
    """Offers <node>/ready once it is announced. That it is offered is the sign: whoever waits looks at the graph."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher: Publisher | None = None

    def announce(self, *_: object) -> None:
        """May be called again, and as the callback of a subscription whose first message shows the connection."""
        if self._publisher is None:
            self._publisher = asked(self._node, self._node.create_publisher(Empty, f"~/{TOPIC}", qos.LATCHED))
            self._publisher.publish(Empty())

    def withdraw(self) -> None:
        """No longer ready."""
        if self._publisher is not None:
            destroy(self._node, self._publisher)
        self._publisher = None


def is_ready(node: Node, name: str) -> bool:
    """Whether a node of the same namespace, as `node` sees the graph, is ready."""
    return node.count_publishers(f"{node.get_namespace().rstrip('/')}/{name}/{TOPIC}") > 0
