# SPDX-License-Identifier: Apache-2.0
"""Six tiny cameras that publish over real DDS, and a reader of what the nodes under test answer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path

import cv2
import numpy as np
import rclpy
from geometry_msgs.msg import TransformStamped
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from mapkd_ros import qos
from mapkd_ros.map_messages import header
from mapkd_ros.readiness import TOPIC

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
WIDTH, HEIGHT = 64, 36
HERE = Path(__file__).parent


class Bench(Node):
    """A node of the test process: publishes cameras, collects messages, spins by hand."""

    def __init__(self, domain: int) -> None:
        self.own_context = rclpy.Context()
        rclpy.init(context=self.own_context, domain_id=domain, args=[])
        super().__init__("bench", context=self.own_context)
        self._executor = SingleThreadedExecutor(context=self.own_context)
        self._executor.add_node(self)
        self.outputs: dict[str, object] = {}
        self.inbox: dict[str, list] = {}
        self.domain = domain
        self.recoveries_s: list[float] = []

    def shut(self) -> None:
        self._executor.shutdown()
        self.destroy_node()
        rclpy.shutdown(context=self.own_context)

    def listen(self, kind: type, topic: str, profile=qos.LOSSLESS) -> list:
        messages = self.inbox.setdefault(topic, [])
        self.create_subscription(kind, topic, messages.append, profile)
        return messages

    def send(self, kind: type, topic: str, message, profile=qos.LOSSLESS) -> None:
        if topic not in self.outputs:
            self.outputs[topic] = self.create_publisher(kind, topic, profile)
        self.outputs[topic].publish(message)

    def offer(self, kind: type, topic: str, profile=qos.LOSSLESS) -> None:
        """Create the publisher now, so that it is discovered before the first message."""
        self.outputs.setdefault(topic, self.create_publisher(kind, topic, profile))

    def until(self, condition, timeout_s: float = 60.0) -> bool:
        """Spin until the condition holds; whether it did."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.01)
            if condition():
                return True
        return False

    @contextlib.contextmanager
    def recovery(self):
        """From a fault to the end of it, timed for mapkd_ros.fault_bench."""
        begin_s = time.monotonic()
        yield
        self.recoveries_s.append(time.monotonic() - begin_s)

    def spin(self, seconds: float) -> None:
        self.until(lambda: False, seconds)

    def call(self, kind: type, name: str, request, timeout_s: float = 60.0):
        """The answer of a service."""
        client = self.create_client(kind, name)
        assert self.until(client.service_is_ready, timeout_s), name
        answer = client.call_async(request)
        assert self.until(answer.done, timeout_s), name
        self.destroy_client(client)
        return answer.result()

    def set(self, node: str, **values):
        """Results of setting parameters of `node`, all at once; __ in a name stands for a dot."""
        messages = [Parameter(name.replace("__", "."), value=v).to_parameter_msg() for name, v in values.items()]
        request = SetParametersAtomically.Request(parameters=messages)
        return self.call(SetParametersAtomically, f"{node}/set_parameters_atomically", request).result

    def connect(self, transport: str = "compressed", cameras=CAMERAS) -> None:
        """Publishers for all cameras, extrinsics on /tf_static; waits for the node under test to listen."""
        kind = CompressedImage if transport == "compressed" else Image
        for name in cameras:
            self.offer(kind, image_topic(name, transport))
            self.offer(CameraInfo, f"{name.lower()}/camera_info")
        transforms = [camera_transform(name) for name in CAMERAS]
        self.send(TFMessage, "/tf_static", TFMessage(transforms=transforms), qos.STATIC_TRANSFORMS)
        self.meet()
        for one in self.get_subscriptions_info_by_topic(f"/{cameras[0].lower()}/camera_info"):
            self.be_noticed(f"{one.node_namespace.rstrip('/')}/{one.node_name}")

    def be_noticed(self, node: str, timeout_s: float = 8.0) -> None:
        """Until `node` knows of all publishers made so far.

        It may hear of a publisher seconds after the publisher heard of it: Fast DDS repeats an announcement that was
        lost after 3 s. Announcements are taken in order, so who answers a client that was made last knows the rest.
        """
        client = self.create_client(GetParameters, f"{node}/get_parameters")
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            answer = client.call_async(GetParameters.Request())
            if self.until(answer.done, 0.5):
                break
        self.destroy_client(client)

    def meet(self) -> None:
        """Until all that this node offers is heard, and all that it listens to is offered."""
        heard = self.until(lambda: all(publisher.get_subscription_count() for publisher in self.outputs.values()), 60)
        assert heard, {topic: publisher.get_subscription_count() for topic, publisher in self.outputs.items()}
        assert self.until(lambda: all(self.count_publishers(topic) for topic in self.inbox), 60), list(self.inbox)
        # The other side may be a moment behind in noticing.
        self.spin(0.2)

    def signs(self, name: str) -> set[tuple[int, ...]]:
        """Who says to be ready under that name, see `mapkd_ros.readiness`."""
        return {tuple(one.endpoint_gid) for one in self.get_publishers_info_by_topic(f"/{name}/{TOPIC}")}

    def capture(self, stamp_ns: int, transport: str = "compressed", red: int = 100, cameras=CAMERAS) -> None:
        """All cameras at one stamp."""
        for name in cameras:
            self.send(CameraInfo, f"{name.lower()}/camera_info", camera_info(name, stamp_ns))
            make = compressed_image if transport == "compressed" else raw_image
            message = make(name, stamp_ns, red)
            self.send(type(message), image_topic(name, transport), message)


def newest(diagnostics: list, name: str) -> tuple[str, bytes, dict[str, str]]:
    """Message, level and values of the newest status of that name; empty before the first."""
    found = [s for array_ in diagnostics for s in array_.status if s.name == f"map_node: {name}"]
    return (found[-1].message, found[-1].level, {v.key: v.value for v in found[-1].values}) if found else ("", b"", {})


def image_topic(name: str, transport: str) -> str:
    return f"{name.lower()}/image" + ("/compressed" if transport == "compressed" else "")


def camera_info(name: str, stamp_ns: int) -> CameraInfo:
    k = [50.0, 0.0, WIDTH / 2, 0.0, 50.0, HEIGHT / 2, 0.0, 0.0, 1.0]
    return CameraInfo(header=header(stamp_ns, name.lower()), width=WIDTH, height=HEIGHT, k=k, d=[0.0] * 5)


def raw_image(name: str, stamp_ns: int, red: int, encoding: str = "rgb8") -> Image:
    pixel = (red, 20, 30) if encoding == "rgb8" else (30, 20, red)
    pixels = array("B", bytes(pixel) * (WIDTH * HEIGHT))
    head = header(stamp_ns, name.lower())
    return Image(header=head, width=WIDTH, height=HEIGHT, encoding=encoding, step=WIDTH * 3, data=pixels)


def compressed_image(name: str, stamp_ns: int, red: int) -> CompressedImage:
    bgr = np.full((HEIGHT, WIDTH, 3), (30, 20, red), np.uint8)
    data = array("B", cv2.imencode(".jpg", bgr)[1].tobytes())
    return CompressedImage(header=header(stamp_ns, name.lower()), format="jpeg", data=data)


def camera_transform(name: str) -> TransformStamped:
    result = TransformStamped(header=header(0, "base_link"), child_frame_id=name.lower())
    result.transform.translation.z = 1.5
    result.transform.rotation.x, result.transform.rotation.w = 0.5, 0.5
    result.transform.rotation.y, result.transform.rotation.z = -0.5, -0.5
    return result


class Process:
    """A node in a process of its own; its output is kept for the assertions."""

    def __init__(self, domain: int, log: Path, *arguments: str) -> None:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def interrupt(self, timeout_s: float = 60.0) -> tuple[int, float]:
        """SIGINT; (exit code, seconds until the end)."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s), time.monotonic() - begin

    def stop(self) -> None:
        """Nothing that it started stays behind, either."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
