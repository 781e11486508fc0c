# SPDX-License-Identifier: Apache-2.0
"""Events of what goes while its node goes on: told all the same, and never the end of the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import rclpy
from domains import own_domain
from std_msgs.msg import String

from mapkd_ros import qos
from mapkd_ros.qos_events import ask, asked, destroy, on_mismatch


def test_subscriptions_that_go_in_a_storm_of_events_take_nobody_with_them():
    """Without `asked` rclpy's EventsExecutor crashes here within five seconds, nine times of ten."""
    with own_domain() as domain:
        script = [sys.executable, str(Path(__file__).parent / "storm.py"), "10"]
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
        done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["destroyed"] > 300 and told["mismatches"] > 300 and told["messages"] > 0


@pytest.fixture
def node():
    with own_domain() as domain:
        context = rclpy.Context()
        rclpy.init(context=context, args=[], domain_id=domain)
        made = rclpy.create_node("listener", context=context)
        yield made
        made.destroy_node()
        rclpy.shutdown(context=context)


def test_each_publisher_is_told_once_and_to_whom_it_was_asked_for(node):
    told: list[str] = []
    events = on_mismatch(node, "words", lambda: told.append("words"))
    before = len(list(node.waitables))
    subscription = asked(
        node, node.create_subscription(String, "words", told.append, qos.images("reliable", 1), event_callbacks=events)
    )
    assert len(list(node.waitables)) == before, "the executor knows nothing of them"
    ask(node)
    assert told == []
    for _ in range(2):
        node.create_publisher(String, "words", qos.images("best_effort", 1))
    end = node.get_clock().now().nanoseconds + 20 * 10**9
    while len(told) < 2 and node.get_clock().now().nanoseconds < end:
        ask(node)
    ask(node)
    assert told == ["words"] * 2
    destroy(node, subscription)
    publisher = asked(node, node.create_publisher(String, "words", 1))
    destroy(node, publisher)
    ask(node)
    assert subscription not in list(node.subscriptions) and publisher not in list(node.publishers)
    assert told == ["words"] * 2
