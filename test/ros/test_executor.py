# SPDX-License-Identifier: Apache-2.0
"""Which executor calls the callbacks: the one by events where rclpy has it, the older one where asked for or alone."""

from __future__ import annotations

import sys
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from mapkd_ros.executor import VARIABLE, make_executor


@pytest.fixture
def context():
    made = rclpy.Context()
    rclpy.init(context=made, args=[])
    yield made
    rclpy.shutdown(context=made)


def test_the_older_one_is_taken_where_asked_for_and_where_rclpy_has_no_other(context, monkeypatch):
    monkeypatch.setenv(VARIABLE, "wait_set")
    assert isinstance(make_executor(context), SingleThreadedExecutor)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setitem(sys.modules, "rclpy.experimental", None)  # as in Humble
    assert isinstance(make_executor(context), SingleThreadedExecutor)


def test_another_name_is_refused(context, monkeypatch):
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(ValueError, match="MAPKD_EXECUTOR = 'fast'; known: events, wait_set"):
        make_executor(context)


def test_by_events_what_is_made_and_taken_away_while_it_runs_is_noticed(context):
    """As the map node does when it is activated and deactivated."""
    pytest.importorskip("rclpy.experimental", reason="this rclpy has no EventsExecutor")
    executor, node = make_executor(context), rclpy.create_node("test_executor", context=context)
    assert not isinstance(executor, SingleThreadedExecutor)
    executor.add_node(node)
    publisher, heard = node.create_publisher(String, "words", 10), []

    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)

    for _ in range(2):
        subscription = node.create_subscription(String, "words", heard.append, 10)
        end = time.monotonic() + 20
        while not heard and time.monotonic() < end:
            publisher.publish(String(data="hello"))
            spin(0.1)
        assert heard
        node.destroy_subscription(subscription)
        spin(0.2)
        heard.clear()
        publisher.publish(String(data="nobody listens"))
        spin(0.3)
        assert not heard
    executor.remove_node(node)
    node.destroy_node()
    executor.shutdown()


def test_by_events_an_error_in_a_callback_reaches_who_spins(context):
    executor, node = make_executor(context), rclpy.create_node("test_executor", context=context)
    executor.add_node(node)

    def fail() -> None:
        raise RuntimeError("from a timer")

    node.create_timer(0.01, fail)
    with pytest.raises(RuntimeError, match="from a timer"):
        for _ in range(100):
            executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
