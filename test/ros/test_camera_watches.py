# SPDX-License-Identifier: Apache-2.0
"""Broken cameras on a rendered drive, through the real node: swapped, frozen and black ones are in /diagnostics."""

from __future__ import annotations

from array import array
from concurrent.futures import Future
from dataclasses import replace
from threading import current_thread

import cv2
import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Quaternion, TransformStamped, Vector3
from mapkd.msg import VectorMap
from nav_msgs.msg import Odometry
from rig import CAMERAS, image_topic, newest
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from mapkd_core.data.tensor_images import TensorImage
from mapkd_core.geometry import planar
from mapkd_core.robustness import rigs
from mapkd_core.types import Camera, Frame
from mapkd_core.worlds import drive, procedural
from mapkd_core.worlds import rig as rigs_of_worlds
from mapkd_core.worlds.render import Renderer
from mapkd_ros import camera_watches, qos
from mapkd_ros.camera_watches import Breath, CameraWatches
from mapkd_ros.map_messages import header
from mapkd_ros.parameter_groups import WatchParameters

START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000
OK, WARN, ERROR = b"\x00", b"\x01", b"\x02"
QUIET = ["-p", "qos.image_reliability:=reliable", "-p", "diagnostics.max_image_age_s:=60.0", "-p", "sync.wait_s:=2.0"]
RATES = ["-p", "watch.pictures_period_s:=0.0", "-p", "watch.mounts_period_s:=0.0", "-p", "diagnostics.period_s:=0.1"]


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Nine, two metres apart."""
    seed = 100_024
    road_map = procedural.make_road_map(seed)
    renderer, cameras = Renderer(road_map, seed), rigs_of_worlds.scaled(rigs_of_worlds.nuscenes_rig(), 400, 225)
    times = road_map.ego[0, 0] + 1 + 0.02 * np.arange(2000)
    way = np.array([drive.pose_at(road_map, t)[:2, 3] for t in times[:800]])
    gone = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    chosen = [times[np.searchsorted(gone, 2.0 * i)] for i in range(9)]
    return [renderer.frame(float(t), cameras) for t in chosen]


def pose_fields(pose: np.ndarray) -> tuple[list[float], Quaternion]:
    x, y, z, w = (float(v) for v in Rotation.from_matrix(pose[:3, :3]).as_quat())
    return [float(v) for v in pose[:3, 3]], Quaternion(x=x, y=y, z=z, w=w)


def send(bench, frame: Frame, at_ns: int) -> None:
    """Odometry first, then every camera."""
    odometry = Odometry(header=header(at_ns, "odom"), child_frame_id="base_link")
    (x, y, z), odometry.pose.pose.orientation = pose_fields(frame.odom_T_ego)
    odometry.pose.pose.position = Point(x=x, y=y, z=z)
    bench.send(Odometry, "odom", odometry)
    for camera in frame.cameras:
        head, sizes = header(at_ns, camera.name.lower()), {"width": camera.width, "height": camera.height}
        k = [float(v) for v in np.asarray(camera.K).ravel()]
        bench.send(CameraInfo, f"{camera.name.lower()}/camera_info", CameraInfo(header=head, k=k, **sizes))
        encoded = cv2.imencode(".jpg", camera.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        image = CompressedImage(header=head, format="jpeg", data=array("B", encoded.tobytes()))
        bench.send(CompressedImage, image_topic(camera.name, "compressed"), image)


def mounts(frame: Frame) -> TFMessage:
    transforms = []
    for camera in frame.cameras:
        (x, y, z), rotation = pose_fields(camera.ego_T_camera)
        item = TransformStamped(header=header(0, "base_link"), child_frame_id=camera.name.lower())
        item.transform.translation, item.transform.rotation = Vector3(x=x, y=y, z=z), rotation
        transforms.append(item)
    return TFMessage(transforms=transforms)


def with_images(frame: Frame, **images: np.ndarray) -> Frame:
    return replace(frame, cameras=tuple(replace(c, image=images.get(c.name, c.image)) for c in frame.cameras))


def states(diagnostics: list) -> dict[str, tuple[str, bytes]]:
    """Camera -> state and level, of those that are not active."""
    told = {name: newest(diagnostics, name) for name in CAMERAS}
    found = {name: (values.get("state", ""), level) for name, (_, level, values) in told.items()}
    return {name: state for name, state in found.items() if state[0] != "active"}


def test_swapped_frozen_and_black_cameras_are_told_and_forgotten(bench, map_node, frames):
    node = map_node("--ros-args", *RATES, *QUIET)
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Odometry, "odom")
    # OpenCV and SciPy take long to load on a busy machine.
    assert bench.until(lambda: bench.count_subscribers("odom"), 180), node.output
    bench.connect()
    bench.send(TFMessage, "/tf_static", mounts(frames[0]), qos.STATIC_TRANSFORMS)
    bench.spin(0.5)
    sent = 0

    def show(frame: Frame, at_ns: int) -> None:
        """One frame, until it was looked at: a watch lets go what comes too soon."""
        nonlocal sent
        sent += 1
        send(bench, frame, at_ns)
        assert bench.until(lambda: len(vectors) >= sent, 120), node.output
        looked = lambda: newest(diagnostics, "output")[2].get("watch_looks")  # noqa: E731
        assert bench.until(lambda: looked() == str(sent), 120), (looked(), node.output)

    for step, frame in enumerate(frames):
        show(rigs.swapped(frame, 1), START_NS + step * PERIOD_NS)
    pair = set(rigs.SWAPPED[0])
    assert states(diagnostics) == dict.fromkeys(pair, ("swapped", ERROR)), node.output
    one, other = rigs.SWAPPED[0]
    assert f"fit the mount of {other}" in newest(diagnostics, one)[0] and "cables" in newest(diagnostics, one)[0]

    diagnostics.clear()
    assert bench.call(Trigger, "map_node/reset", Trigger.Request()).success
    assert bench.until(lambda: newest(diagnostics, "CAM_BACK")[2] and not states(diagnostics)), "forgotten by a reset"

    black = np.zeros_like(frames[0].cameras[0].image)
    frozen = next(c.image for c in frames[0].cameras if c.name == "CAM_FRONT_LEFT")
    for step, frame in enumerate(frames[:3]):
        show(with_images(frame, CAM_BACK=black, CAM_FRONT_LEFT=frozen), START_NS + (20 + step) * PERIOD_NS)
    assert states(diagnostics) == {"CAM_BACK": ("black", WARN), "CAM_FRONT_LEFT": ("frozen", ERROR)}, node.output
    assert "uncover the lens" in newest(diagnostics, "CAM_BACK")[0]
    assert "restart the camera" in newest(diagnostics, "CAM_FRONT_LEFT")[0]
    assert int(newest(diagnostics, "output")[2]["watch_ms"]) > 0, "what it costs is told"

    show(frames[3], START_NS + 23 * PERIOD_NS)
    assert states(diagnostics) == {}, "sound pictures again"
    bench.set("map_node", watch__pictures=False)
    show(with_images(frames[4], CAM_BACK=black), START_NS + 24 * PERIOD_NS)
    assert states(diagnostics) == {}, "switched off"
    assert node.interrupt()[0] == 0 and "Traceback" not in node.output


def frozen_frame(step: int) -> Frame:
    image = np.random.default_rng(0).integers(0, 255, (20, 40, 3)).astype(np.uint8)
    camera = Camera("A", image, np.eye(3), np.eye(4), 40, 20, step)
    return Frame((camera,), step, odom_T_ego=planar(float(step), 0, 0))


def test_a_leap_of_the_clock_begins_anew():
    """Three equal pictures are frozen; a new epoch has seen none of them."""
    watches = CameraWatches(WatchParameters(pictures_period_s=0.0, mounts=False), lambda error: pytest.fail(str(error)))
    for step, epoch, told in [(1, 0, set()), (2, 0, set()), (3, 0, {"A"}), (4, 1, set()), (5, 1, set()), (6, 1, {"A"})]:
        watches._look((frozen_frame(step), epoch))
        assert set(watches.findings()) == told, step
    watches.change(WatchParameters(pictures=False))
    assert watches.findings() == {}
    watches.close()


def test_long_work_rests_four_times_as_long_as_it_worked(monkeypatch):
    worked, rested = iter([1.0, 1.001, 1.003, 1.003, 1.5, 1.5, 0.2, 0.201]), []
    monkeypatch.setattr(camera_watches.time, "thread_time", lambda: next(worked))
    monkeypatch.setattr(camera_watches.time, "sleep", rested.append)
    breath = Breath()
    for _ in range(6):
        breath()
    # 3 ms of work; then half a second in one piece, after which nobody is kept waiting; then another thread's clock.
    assert rested == [pytest.approx(0.012), 0.02]


def test_pictures_on_a_device_come_down_in_the_thread_of_the_watches():
    came: Future[str] = Future()

    class Told(TensorImage):
        def numpy(self):
            came.set_result(current_thread().name)
            return super().numpy()

    frame = frozen_frame(1)
    black = Told(torch.zeros(3, 20, 40, dtype=torch.uint8))
    watches = CameraWatches(WatchParameters(pictures_period_s=0.0, mounts=False), came.set_exception)
    watches.look(Frame((replace(frame.cameras[0], image=black),), 1, odom_T_ego=frame.odom_T_ego), 0)
    assert came.result(60) == "watches"
    watches._worker.close(60)  # which waits for the look in hand
    assert {name: told.state for name, told in watches.findings().items()} == {"A": "black"}
