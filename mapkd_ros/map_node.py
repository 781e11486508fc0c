# SPDX-License-Identifier: Apache-2.0
"""Six cameras in, a local map out: frame -> map -> messages, stamped with the anchor camera's capture time.

Topics (relative): in <camera>/image or <camera>/image/compressed, <camera>/camera_info, odom, /tf, /tf_static; out
map/semantic_map, map/vector_map, map/input_status, map/processing_time, map/layer_info, /diagnostics, ~/ready.
The executor only stores messages; decoding runs in a pool, everything else in one worker with a queue of one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import BevLayerInfo, BevSemanticMap, InputStatus, ProcessingTime, VectorMap
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from mapkd_core.types import Frame, LocalMap
from mapkd_ros import qos
from mapkd_ros.camera_input import CameraInput
from mapkd_ros.conversions import odometry_pose, stamp_ns
from mapkd_ros.frames import AssembledFrame, FrameAssembler
from mapkd_ros.map_health import MapHealth
from mapkd_ros.map_messages import header, input_status, layer_info, processing_time, semantic_map, vector_map
from mapkd_ros.map_parameters import MapParameters, ModelParameters
from mapkd_ros.parameters import declare
from mapkd_ros.pose_track import PoseTrack
from mapkd_ros.qos_events import on_mismatch
from mapkd_ros.readiness import Readiness
from mapkd_ros.spinning import run
from mapkd_ros.sync_filter import CameraSyncFilter
from mapkd_ros.synchroniser import FrameSet
from mapkd_ros.transforms import TransformBuffer
from mapkd_ros.worker import LatestWorker

_START_GRACE_S = 0.5


class Predictor(Protocol):
    """What the node needs of mapkd_core.mapper.Mapper. classes: names of the layers; model_id: optional."""

    classes: tuple[str, ...]

    def predict(self, frame: Frame) -> LocalMap: ...


class MapNode(Node):
    """The map node; a predictor may be handed in, else the parameters `model.*` make one."""

    def __init__(self, predictor: Predictor | None = None, **options: Any) -> None:
        super().__init__("map_node", automatically_declare_parameters_from_overrides=True, **options)
        self._settings = declare(self, MapParameters)
        self._predictor = predictor or make_predictor(self._settings.model)
        self._transforms, self._odometry = TransformBuffer(), PoseTrack()
        frames = self._settings.frames
        self._assembler = FrameAssembler(
            self._transforms,
            self._odometry,
            base_frame=frames.base,
            odom_frame=frames.odom,
            frame_ids=self._settings.frame_ids(),
            is_rectified=self._settings.cameras.images_are_rectified,
        )
        self._make_publishers()
        self._make_inputs()
        self._health = MapHealth(self, self._inputs, self._settings.diagnostics)
        self._last_epoch = 0
        self._worker = LatestWorker(self._process, self._on_error, "inference")
        self._make_timers()
        self._readiness = Readiness(self)
        self._readiness.announce()
        self.get_logger().info(f"waiting for {', '.join(' or '.join(item.topics) for item in self._inputs.values())}")

    def close(self) -> None:
        """End the threads; waits for the inference in hand, but at most a second."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._worker.close(timeout_s=1.0)
        self.get_logger().info(f"ended with {self._health.summary(self._sets, self._worker)}")

    def _make_publishers(self) -> None:
        self._semantic = self.create_publisher(BevSemanticMap, "map/semantic_map", qos.OUTPUT)
        self._vectors = self.create_publisher(VectorMap, "map/vector_map", qos.OUTPUT)
        self._status = self.create_publisher(InputStatus, "map/input_status", qos.OUTPUT)
        self._times = self.create_publisher(ProcessingTime, "map/processing_time", qos.OUTPUT)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.OUTPUT)
        self._legend = self.create_publisher(BevLayerInfo, "map/layer_info", qos.LATCHED)
        self._legend.publish(layer_info(self._predictor.classes, header(self.get_clock().now().nanoseconds, "")))

    def _make_inputs(self) -> None:
        parameters = self._settings
        self._decoders = ThreadPoolExecutor(parameters.decode_threads, "decode")
        profile = qos.images(parameters.qos.image_reliability, parameters.qos.image_depth)
        self._inputs = {
            name: CameraInput(self, name, parameters.transport(name), profile, self._decoders)
            for name in parameters.cameras.names
        }
        # On simulated time the waits must stretch with it, or a slow replay would lose every late camera.
        is_simulated = self.get_parameter("use_sim_time").value
        now_ns = (lambda: self.get_clock().now().nanoseconds) if is_simulated else time.monotonic_ns
        self._sets = CameraSyncFilter(self._inputs, parameters.policy(), now_ns)
        self._sets.registerCallback(lambda frame_set: self._worker.submit((time.monotonic(), frame_set)))
        self._hear(Odometry, "odom", self._on_odometry, qos.ODOMETRY)
        self._hear(TFMessage, "/tf", lambda m: self._transforms.add_message(m, False), qos.TRANSFORMS)
        self._hear(TFMessage, "/tf_static", lambda m: self._transforms.add_message(m, True), qos.STATIC_TRANSFORMS)

    def _hear(self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile) -> None:
        events = on_mismatch(self, topic, lambda: self._health.counts.update(qos_incompatible=1))
        self.create_subscription(kind, topic, callback, profile, event_callbacks=events)

    def _make_timers(self) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.02, self._sets.poll, clock=steady)
        self.create_timer(self._settings.diagnostics.period_s, self._report, clock=steady)

    def _on_odometry(self, message: Odometry) -> None:
        try:
            self._odometry.add(stamp_ns(message.header.stamp), odometry_pose(message))
        except ValueError as error:
            self._health.dropped("odometry_rejected", f"odometry not used: {error}")

    def _process(self, job: tuple[float, FrameSet]) -> None:
        """In the worker: one set becomes one map."""
        complete_s, frame_set = job
        begin_s = time.monotonic()
        assembled = self._assemble(frame_set)
        states = self._health.cameras(frame_set, assembled.rejected, assembled.doubts)
        offsets_ns = {camera.name: camera.stamp_ns - frame_set.stamp_ns for camera in assembled.frame.cameras}
        # Against the last map that went out: what fell out in between must not hide a reset.
        status = input_status(states, offsets_ns, frame_set.epoch != self._last_epoch)
        self._status.publish(status)
        if len(offsets_ns) < self._settings.sync.min_cameras:
            self._health.dropped("no_usable_camera", f"no map at {frame_set.stamp_ns} ns: {assembled.rejected}")
            return
        ready_s = time.monotonic()
        local_map = self._predictor.predict(assembled.frame)
        times_ms = {"queue": 1e3 * (begin_s - complete_s), "assemble": 1e3 * (ready_s - begin_s), **local_map.times_ms}
        self._publish(local_map, frame_set.stamp_ns, status, times_ms, assembled.has_ego_motion)
        self._last_epoch = frame_set.epoch

    def _assemble(self, frame_set: FrameSet) -> AssembledFrame:
        """At the start calibration and transforms may come a moment after the images: that costs no frame."""
        deadline_s = self._inputs[frame_set.anchor].first_arrival_s + _START_GRACE_S
        while True:
            infos = {name: item.info for name, item in self._inputs.items() if item.info is not None}
            assembled = self._assembler.assemble(frame_set, infos, lambda image: image.array())
            if not assembled.rejected or time.monotonic() > deadline_s:
                return assembled
            time.sleep(0.02)

    def _publish(
        self, local_map: LocalMap, at_ns: int, status: InputStatus, times_ms: dict[str, float], has_motion: bool
    ) -> None:
        begin_s = time.monotonic()
        head = header(at_ns, self._settings.frames.base)
        model_id = str(getattr(self._predictor, "model_id", ""))
        self._vectors.publish(vector_map(local_map, head, status, model_id))
        if local_map.probability is not None:
            self._semantic.publish(semantic_map(local_map, head, status))
        times_ms["publish"] = 1e3 * (time.monotonic() - begin_s)
        latency_ms = (self.get_clock().now().nanoseconds - at_ns) / 1e6
        # Simulated clocks tick coarsely and may lag behind the newest image: never negative.
        self._times.publish(processing_time(times_ms, head, max(0.0, latency_ms)))
        self._health.published(times_ms, latency_ms, has_motion)

    def _on_error(self, error: Exception) -> None:
        if self.context.ok():
            self._health.dropped("failed", f"a frame gave no map: {type(error).__name__}: {error}")

    def _report(self) -> None:
        if self._transforms.rejected:
            self._health.counts["transforms_rejected"] = self._transforms.rejected
        self._diagnostics.publish(self._health.report(self._sets, self._worker))


def make_predictor(parameters: ModelParameters) -> Predictor:
    """The product's Mapper; ValueError or FileNotFoundError for a checkpoint that does not fit."""
    from mapkd_core.mapper import Mapper

    mapper = Mapper(
        Path(parameters.weights).expanduser() if parameters.weights else None,
        parameters.backend,
        parameters.device,
        parameters.vectors,
        min_confidence=None if parameters.min_confidence < 0 else parameters.min_confidence,
        threads=parameters.threads or None,
    )
    if parameters.warm_up:
        mapper.predict(black_frame())
    return mapper


def black_frame() -> Frame:
    """The nuScenes rig at night: what the first prediction allocates and compiles does not cost a real frame."""
    from mapkd_core.worlds.rig import nuscenes_rig

    return Frame(tuple(replace(c, image=np.zeros((c.height, c.width, 3), np.uint8)) for c in nuscenes_rig()))


def main(args: list[str] | None = None) -> int:
    """Entry point of `ros2 run mapkd map_node`."""
    return run(MapNode, args)


if __name__ == "__main__":
    sys.exit(main())
