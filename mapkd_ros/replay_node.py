# SPDX-License-Identifier: Apache-2.0
"""Plays a bag of any dialect that mapkd reads, under mapkd's topic names, with /clock.

Topics (from the bag): <camera>/image..., <camera>/camera_info, lidar_top, odom, /tf, /tf_static, truth/vector_map.
Starts when the cameras' topics have subscribers, so that nothing is lost; ends with a report and exit code 0.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from mapkd_ros.bag_source import BagSource
from mapkd_ros.diagnostics import ThrottledLog
from mapkd_ros.parameters import declare, parameter
from mapkd_ros.playback import Player
from mapkd_ros.readiness import is_ready
from mapkd_ros.spinning import run


@dataclass(frozen=True)
class ReplayParameters:
    bag: str = parameter("", "bag to play: rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    calibration: str = parameter("", "calibration file for what the bag lacks (docs/formats.md); empty = none")
    rate: float = parameter(1.0, "speed; 2 = twice as fast", 0.01, 100.0)
    loop: bool = parameter(False, "start again at the end, until interrupted")
    start_offset_s: float = parameter(0.0, "begin so far into the bag [s]", 0.0, 1e6)
    duration_s: float = parameter(0.0, "play so much of it [s]; 0 = all", 0.0, 1e6)
    clock: bool = parameter(True, "publish /clock for nodes with use_sim_time")
    clock_hz: float = parameter(50.0, "fewest ticks of /clock a second", 1.0, 1000.0)
    wait_for: tuple[str, ...] = parameter(("",), "topics that need a subscriber first, beside the cameras'")
    wait_for_nodes: tuple[str, ...] = parameter(
        ("",), "nodes that must say first that they are ready: map_node, evaluation_node, record_node"
    )
    wait_s: float = parameter(30.0, "longest wait for subscribers [s]; 0 = start at once", 0.0, 3600.0)
    linger_s: float = parameter(
        1.0, "stay so long after the end, /clock running on, for what is on its way [s]", 0.0, 60.0
    )


class ReplayNode(Node):
    """Publishes recorded messages as they are (CDR); a thread paces them, the executor only watches its end."""

    def __init__(self, **options: Any) -> None:
        super().__init__("replay_node", automatically_declare_parameters_from_overrides=True, **options)
        self._settings = settings = declare(self, ReplayParameters)
        if not settings.bag:
            raise ValueError("parameter bag is empty: give the path of a bag, for example bag:=drive.mcap")
        calibration = Path(settings.calibration).expanduser() if settings.calibration else None
        self._source = BagSource(Path(settings.bag).expanduser(), calibration)
        for problem in self._source.problems:
            self.get_logger().warning(problem)
        self._log = ThrottledLog(self.get_logger())
        self._outputs: dict[str, Publisher] = {}
        self._unknown: dict[str, str] = {}
        for topic in self._source.topics:
            self._offer(topic.name, topic.type_name, topic.is_latched)
        self._ticks = self.create_publisher(Clock, "/clock", 10) if settings.clock else None
        self._player = Player(self._publish, self._tick, rate=settings.rate, clock_hz=settings.clock_hz)
        self._error: str | None = None
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()
        self.create_timer(0.05, self._watch, clock=RosClock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Stop playing and say what was played."""
        self._player.stop.set()
        self._thread.join(2.0)
        self.get_logger().info(self._player.report.text())
        for topic, reason in self._unknown.items():
            self.get_logger().warning(f"{topic} was not played: {reason}")
        self._source.close()

    def _offer(self, topic: str, type_name: str, is_latched: bool) -> None:
        package, _, name = type_name.split("/")
        try:
            kind = getattr(importlib.import_module(f"{package}.msg"), name)
        except (ImportError, AttributeError) as error:
            self._unknown[topic] = f"type {type_name} is not installed ({error})"
            return
        durability = DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(
            depth=100 if is_latched else 10, reliability=ReliabilityPolicy.RELIABLE, durability=durability
        )
        self._outputs[topic] = self.create_publisher(
            kind, topic.lstrip("/") if topic not in _GLOBAL else topic, profile
        )

    def _play(self) -> None:
        settings = self._settings
        try:
            self._await_subscribers()
            latched = frozenset(topic.name for topic in self._source.topics if topic.is_latched)
            options = {"offset_s": settings.start_offset_s, "duration_s": settings.duration_s, "latched": latched}
            self._player.play(self._source.messages(), **options)
            while settings.loop and not self._player.stop.is_set():
                self._player.play(self._source.messages(), **options)
            # First the clock: no map node should stand still while acknowledgements are on their way.
            self._player.linger(settings.linger_s)
            for publisher in self._outputs.values():
                if publisher.get_subscription_count() and not self._player.stop.is_set():
                    publisher.wait_for_all_acked(Duration(seconds=1.0))
        except Exception as error:
            if not self._player.stop.is_set():
                self._error = f"replay of {settings.bag} stopped: {error}"

    def _await_subscribers(self) -> None:
        """Until everybody is there and nobody else came for a moment: who is late misses frames."""
        extra = [topic if topic.startswith("/") else f"/{topic}" for topic in self._settings.wait_for if topic]
        for name in set(extra) - set(self._outputs):
            self.get_logger().warning(f"wait_for names {name}, which the bag does not have")
        topics = [name for name in (*self._source.camera_topics, *extra) if name in self._outputs]
        end_s = time.monotonic() + self._settings.wait_s
        seen: dict[str, int] = {}
        since_s = 0.0
        while time.monotonic() < end_s and not self._player.stop.wait(0.05):
            counts = self._listeners(topics)
            if counts != seen:
                seen, since_s = counts, time.monotonic()
            if all(counts.values()) and time.monotonic() - since_s > _SETTLE_S:
                break
        if waiting := [name for name, count in seen.items() if not count]:
            self.get_logger().warning(f"waited in vain for {', '.join(waiting)}; starting all the same")
        self.get_logger().info(f"playing {self._settings.bag} at rate {self._settings.rate:g}")

    def _listeners(self, topics: list[str]) -> dict[str, int]:
        """Subscriptions of each awaited topic; 1 for each awaited node that is ready."""
        counts = {topic: self._outputs[topic].get_subscription_count() for topic in topics}
        return counts | {name: int(is_ready(self, name)) for name in self._settings.wait_for_nodes if name}

    def _publish(self, message: Any) -> None:
        publisher = self._outputs.get(message.topic)
        if publisher is None:
            self._unknown.setdefault(message.topic, "not announced by the bag's index")
            return
        publisher.publish(bytes(message.data))
        if self._player.report.late:
            late_s, rate = self._player.report.latest_s, self._settings.rate
            text = f"behind by up to {late_s:.1f} s: this machine cannot keep rate {rate:g}"
            self._log.warning("late", text)

    def _tick(self, bag_time_ns: int) -> None:
        if self._ticks is not None:
            seconds, nanoseconds = divmod(bag_time_ns, 1_000_000_000)
            self._ticks.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _watch(self) -> None:
        if self._thread.is_alive():
            return
        if self._error:
            self.get_logger().fatal(self._error)
        raise SystemExit(1 if self._error else 0)


# All other topics are relative, so that a namespace moves them.
_GLOBAL = ("/tf", "/tf_static")
# That a subscription is seen here does not say that it sees us: DDS repeats a lost discovery after three seconds.
_SETTLE_S = 3.5


def main(args: list[str] | None = None) -> int:
    """Entry point of `ros2 run mapkd replay_node`."""
    return run(ReplayNode, args)


if __name__ == "__main__":
    sys.exit(main())
