# SPDX-License-Identifier: Apache-2.0
"""How many raw images of six cameras arrive in another process, and how late, with and without the shipped profiles.

python -m mapkd_ros.transport --out docs/results/dependability/transport.json   # 10 s each; on a quiet machine

Defaults of the middleware, its shipped profile, and CycloneDDS with its own where rmw_cyclonedds_cpp is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.writing import write_json
from mapkd_ros import transport_table
from mapkd_ros.dds import dds_environment
from mapkd_ros.share import share

CAMERAS = tuple(f"CAM_{i}" for i in range(6))
CYCLONE, CYCLONE_RMW = "cyclonedds", "rmw_cyclonedds_cpp"
_DEPTH = 10
_SETTLE_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 where a process failed."""
    options = _parser().parse_args(arguments)
    if options.role == "send":
        return send(options)
    if options.role == "receive":
        return receive(options)
    measured = {profile: measure(profile, options) for profile in options.profiles or known_profiles()}
    result = transport_table.result(measured, options)
    if options.out is not None:
        write_json(options.out, result)
    print(json.dumps(result))
    return int(any("error" in row for row in measured.values()))


def measure(profile: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run of both processes; profile: as dds_environment takes it, or cyclonedds.

    delivered_over_sent: of the worst camera. latency_ms: from publishing to the callback, of all that came.
    """
    environment = {**os.environ, **(_cyclone() if profile == CYCLONE else dds_environment(profile))}
    shape = [f"--{key}={getattr(options, key)}" for key in ("width", "height", "rate", "seconds")]
    command = [sys.executable, "-m", "mapkd_ros.transport", *shape, "--role"]
    receiver = subprocess.Popen([*command, "receive"], env=environment, stdout=subprocess.PIPE, text=True)
    sender = subprocess.run([*command, "send"], env=environment, stdout=subprocess.PIPE, text=True, check=False)
    told, _ = receiver.communicate()
    if sender.returncode or receiver.returncode:
        return {"error": f"sender ended with {sender.returncode}, receiver with {receiver.returncode}"}
    row = json.loads(sender.stdout) | json.loads(told)
    return row | {"delivered_over_sent": round(min(row["received"].values()) / row["sent"], 4)}


def send(options: argparse.Namespace) -> int:
    """Six publishers in this process; prints how many images each sent, and in what time."""
    import rclpy
    from sensor_msgs.msg import Image

    from mapkd_ros import qos

    rclpy.init()
    node = rclpy.create_node("transport_sender")
    profile = qos.images("best_effort", _DEPTH)
    publishers = [node.create_publisher(Image, f"{name.lower()}/image", profile) for name in CAMERAS]
    pixels = array("B", bytes(options.width * options.height * 3))
    image = Image(width=options.width, height=options.height, step=3 * options.width, encoding="rgb8", data=pixels)
    while not all(publisher.get_subscription_count() for publisher in publishers):
        rclpy.spin_once(node, timeout_sec=0.05)
    time.sleep(_SETTLE_S)
    count, begin_s = round(options.rate * options.seconds), time.monotonic()
    for number in range(count):
        for publisher in publishers:
            now_ns = time.time_ns()
            image.header.stamp.sec, image.header.stamp.nanosec = divmod(now_ns, 10**9)
            publisher.publish(image)
        time.sleep(max(0.0, begin_s + (number + 1) / options.rate - time.monotonic()))
    print(json.dumps({"sent": count, "sending_s": round(time.monotonic() - begin_s, 3)}))
    time.sleep(_SETTLE_S)
    node.destroy_node()
    rclpy.shutdown()
    return 0


def receive(options: argparse.Namespace) -> int:
    """The map node's own camera inputs; prints what arrived and what the middleware says it lost, per camera."""
    from concurrent.futures import ThreadPoolExecutor

    import rclpy

    from mapkd_ros import qos
    from mapkd_ros.camera_input import CameraInput
    from mapkd_ros.conversions import stamp_ns
    from mapkd_ros.qos_events import ask

    rclpy.init()
    node = rclpy.create_node("transport_receiver")
    with ThreadPoolExecutor(1) as pool:
        profile = qos.images("best_effort", _DEPTH)
        cameras = {name: CameraInput(node, name, "raw", profile, pool) for name in CAMERAS}
        late_ms: list[float] = []
        for camera in cameras.values():
            camera.registerCallback(lambda image: late_ms.append((time.time_ns() - stamp_ns(image.header.stamp)) / 1e6))
        is_done = lambda: cameras_heard(cameras) and not any(map(node.count_publishers, topics))  # noqa: E731
        topics = [camera.topics[0] for camera in cameras.values()]
        end_s = time.monotonic() + options.seconds + 60
        while time.monotonic() < end_s and not is_done():
            rclpy.spin_once(node, timeout_sec=0.1)
        ask(node)  # what was lost: a camera input has its events asked for
        counts = {key: {name: camera.counts[key] for name, camera in cameras.items()} for key in ("received", "lost")}
    p50, p95 = np.percentile(late_ms, (50, 95)).round(2) if late_ms else (0.0, 0.0)
    print(json.dumps(counts | {"latency_ms": {"p50": float(p50), "p95": float(p95)}}))
    node.destroy_node()
    rclpy.shutdown()
    return 0


def known_profiles() -> list[str]:
    """Defaults, the shipped profile, and CycloneDDS where it is installed."""
    from ament_index_python import get_packages_with_prefixes

    has_cyclone = CYCLONE_RMW in get_packages_with_prefixes()
    return ["none", "shared_memory", *([CYCLONE] if has_cyclone else [])]


def _cyclone() -> dict[str, str]:
    profile = share("config/dds/cyclonedds.xml").resolve().as_uri()
    return {"RMW_IMPLEMENTATION": CYCLONE_RMW, "CYCLONEDDS_URI": profile}


def cameras_heard(cameras: dict[str, Any]) -> bool:
    """Whether any image has come."""
    return any(camera.counts["received"] for camera in cameras.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mapkd_ros.transport", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, help="write the result there (JSON)")
    add("--profiles", nargs="+", help="as --dds-profile of mapkd ros, or cyclonedds (all that are installed)")
    add("--width", type=int, default=1600)
    add("--height", type=int, default=900)
    add("--rate", type=float, default=12.0, help="images a second of each camera (12)")
    add("--seconds", type=float, default=10.0, help="of sending (10)")
    add("--role", choices=("both", "send", "receive"), default="both", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
