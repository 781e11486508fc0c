# SPDX-License-Identifier: Apache-2.0
"""Publishers that come and go by the dozen, and a node whose subscriptions do: `python storm.py SECONDS`, told as JSON.

One topic of two is offered with QoS that does not fit, so that events are on their way at any time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter

import rclpy
from std_msgs.msg import String

from mapkd_ros import qos
from mapkd_ros.executor import make_executor
from mapkd_ros.qos_events import ask, asked, destroy, on_mismatch

TOPICS = [f"storm_{i}" for i in range(6)]


def blow(seconds: float) -> None:
    node, end_s = rclpy.create_node("storm"), time.monotonic() + seconds
    while time.monotonic() < end_s:
        profiles = [qos.images("best_effort" if i % 2 else "reliable", 1) for i in range(2 * len(TOPICS))]
        publishers = [node.create_publisher(String, TOPICS[i // 2], profile) for i, profile in enumerate(profiles)]
        for publisher in publishers:
            publisher.publish(String(data="x"))
        time.sleep(0.01)
        for publisher in publishers:
            node.destroy_publisher(publisher)


def listen(seconds: float) -> Counter[str]:
    node, executor, told = rclpy.create_node("listener"), make_executor(), Counter[str]()
    node.get_logger().set_level(50)
    subscriptions: list = []

    def renew() -> None:
        ask(node)
        for subscription in subscriptions:
            destroy(node, subscription)
        told.update(destroyed=len(subscriptions))
        profile = qos.images("reliable", 5)
        subscriptions[:] = [
            asked(
                node,
                node.create_subscription(
                    String, topic, lambda _: told.update(["messages"]), profile,
                    event_callbacks=on_mismatch(node, topic, lambda: told.update(["mismatches"]), "", lambda _: None),
                ),
            )
            for topic in TOPICS
        ]  # fmt: skip

    node.create_timer(0.02, renew)
    executor.add_node(node)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.1)
    return told


def main() -> None:
    seconds = float(sys.argv[1])
    rclpy.init()
    if sys.argv[2:] == ["blow"]:
        return blow(seconds)
    with subprocess.Popen([sys.executable, __file__, str(seconds + 5), "blow"]) as storm:
        try:
            print(json.dumps(listen(seconds)), flush=True)
        finally:
            storm.kill()
    return None


if __name__ == "__main__":
    main()
