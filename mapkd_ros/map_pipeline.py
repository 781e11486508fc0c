# SPDX-License-Identifier: Apache-2.0
"""From image sets to published maps: lives from the activation of the map node to its deactivation.

The executor only stores messages; decoding runs in a pool, everything else in one worker with a queue of one.
"""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from mapkd_core.data.reduced import reduction_for
from mapkd_ros import device_memory
from mapkd_ros.camera_input import CameraImage
from mapkd_ros.camera_watches import CameraWatches
from mapkd_ros.frame_set import FrameSet
from mapkd_ros.frames import AssembledFrame, FrameAssembler
from mapkd_ros.map_health import MapHealth
from mapkd_ros.map_inputs import MapInputs
from mapkd_ros.map_memory import MapMemory
from mapkd_ros.map_messages import input_status
from mapkd_ros.map_outputs import MapOutputs
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.predictor import Predictor
from mapkd_ros.side_inputs import SideInputs
from mapkd_ros.stage_times import CompleteSet, before_prediction
from mapkd_ros.sync_filter import CameraSyncFilter
from mapkd_ros.worker import LatestWorker

_START_GRACE_S = 0.5
_POLL_S = 0.02


class MapPipeline:
    """Inputs, synchroniser, worker and health of an active node. settings: may be exchanged by `change`."""

    def __init__(self, node: Node, predictor: Predictor, outputs: MapOutputs, settings: MapParameters) -> None:
        self._node, self._predictor, self._outputs = node, predictor, outputs
        self._settings = self._applied = settings
        network, device = getattr(predictor, "config", None), getattr(predictor, "device", "cpu")
        reduction = reduction_for(network, settings.decode.reduced, device)
        self.inputs = MapInputs(node, settings, lambda *why: self._health.dropped(*why), reduction)
        modalities = getattr(predictor, "modalities", ("camera",))
        self._sides = SideInputs(self.inputs.hear, modalities, self.inputs.transforms, settings)
        self._health = MapHealth(node, self.inputs.cameras, settings.diagnostics)
        self._watches = CameraWatches(settings.watch, self._on_watch_error)
        self._lasting, self._memory = _lasting(node, settings), MapMemory(settings.memory)
        self._assembler = FrameAssembler(
            self.inputs.transforms,
            self.inputs.odometry,
            base_frame=settings.frames.base,
            odom_frame=settings.frames.odom,
            frame_ids=settings.frame_ids(),
            is_rectified=settings.cameras.images_are_rectified,
            expect=getattr(predictor, "expect", lambda _: None),
        )
        self._last_epoch, self._is_closed = 0, False
        self._worker = LatestWorker(self._process, self._on_error, "inference")
        self._sets = CameraSyncFilter(self.inputs.cameras, settings.policy(), self._now_ns)
        self._sets.registerCallback(self._on_set)
        self._timer = node.create_timer(_POLL_S, self._sets.poll, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self, timeout_s: float = 1.0) -> bool:
        """Free the subscriptions, end the threads; waits for the inference in hand, but at most `timeout_s`.

        False when that takes longer. Nothing of it is published then.
        """
        self._is_closed = True
        self._node.destroy_timer(self._timer)
        self.inputs.close()
        if self._lasting is not None:
            self._lasting.close()
        self._watches.close()
        has_ended = self._worker.close(timeout_s)
        self._node.get_logger().info(f"ended with {self._health.summary(self._sets, self._worker)}")
        return has_ended

    def change(self, settings: MapParameters) -> None:
        """Other settings of those that may change at run time: all together, from the next set on."""
        self._sets.change(settings.policy())
        self._health.change(settings.diagnostics)
        self._sides.change(settings)
        self._watches.change(settings.watch)
        self._memory.change(settings.memory)
        self._settings = settings

    def reset(self) -> None:
        """Forget frames and motion, as where a drive begins; the next map says so in input.temporal_reset."""
        self._sets.reset()
        self.inputs.forget()
        self._sides.forget()
        self._watches.forget()
        self._memory.forget()

    def report(self) -> DiagnosticArray:
        if self.inputs.transforms.rejected:
            self._health.counts["transforms_rejected"] = self.inputs.transforms.rejected
        self._health.counts["remembered_percent"] = round(100 * self._memory.share)
        self._health.counts["watch_looks"] = self._watches.looks
        self._health.counts["watch_ms"] = round(1e3 * self._watches.spent_s)
        report = self._health.report(self._sets, self._worker, self._watches.findings())
        lasting = [] if self._lasting is None else [self._lasting.report()]
        report.status = [*report.status, *self._sides.report(self._node), *lasting]
        return report

    def _on_set(self, frame_set: FrameSet) -> None:
        self._worker.submit(CompleteSet(frame_set, time.monotonic(), self._node.get_clock().now().nanoseconds))

    def _now_ns(self) -> int:
        """On simulated time the waits must stretch with it, or a slow replay would lose every late camera."""
        clock = self._node.get_clock()
        return clock.now().nanoseconds if clock.ros_time_is_active else time.monotonic_ns()

    def _process(self, job: CompleteSet) -> None:
        """In the worker: one set becomes one map."""
        frame_set, settings, begin_s = job.frame_set, self._settings, time.monotonic()
        self._apply(settings)
        assembled = self._assemble(frame_set)
        states = self._health.cameras(frame_set, assembled.rejected, assembled.doubts)
        offsets_ns = {camera.name: camera.stamp_ns - frame_set.stamp_ns for camera in assembled.frame.cameras}
        # Against the last map that went out: what fell out in between must not hide a reset.
        status = input_status(states, offsets_ns, frame_set.epoch != self._last_epoch)
        self._outputs.status(status)
        if len(offsets_ns) < settings.sync.min_cameras:
            self._health.dropped("no_usable_camera", f"no map at {frame_set.stamp_ns} ns: {assembled.rejected}")
            return
        frame = self._sides.extend(assembled.frame, self._assembler)
        ready_s = time.monotonic()
        local_map = self._memory.fill(self._predictor.predict(frame), frame.odom_T_ego, status.temporal_reset)
        if self._is_closed:
            return
        times_ms = before_prediction(job, begin_s, ready_s, assembled.waited_s) | local_map.times_ms
        model_id = str(getattr(self._predictor, "model_id", ""))
        with_raster = settings.publish.semantic_map
        told = self._outputs.publish(local_map, frame_set.stamp_ns, status, times_ms, model_id, with_raster)
        self._health.published(*told, assembled.has_ego_motion)
        self._last_epoch = frame_set.epoch
        self._watches.look(frame, frame_set.epoch)
        if self._lasting is not None:
            self._lasting.add(local_map, frame, status, model_id)

    def _apply(self, settings: MapParameters) -> None:
        if settings.model != self._applied.model and hasattr(self._predictor, "set_min_confidence"):
            self._predictor.set_min_confidence(settings.model.confidence())
        self._applied = settings

    def _assemble(self, frame_set: FrameSet) -> AssembledFrame:
        """At the start calibration and transforms may come a moment after the images: that costs no frame."""
        cameras = self.inputs.cameras
        deadline_s = cameras[frame_set.anchor].first_arrival_s + _START_GRACE_S
        while True:
            found = {name: cameras[name].info_at(stamped.stamp_ns) for name, stamped in frame_set.frames.items()}
            infos = {name: info for name, info in found.items() if info is not None}
            assembled = self._assembler.assemble(frame_set, infos, CameraImage.picture)
            if not assembled.rejected or self._is_closed or time.monotonic() > deadline_s:
                return assembled
            time.sleep(_POLL_S)

    def _on_error(self, error: Exception) -> Any:
        if is_short := device_memory.ran_out(error):
            device_memory.release(error)
        if self._node.context.ok() and not self._is_closed:
            reason = "out_of_memory" if is_short else "failed"
            self._health.dropped(reason, f"a frame gave no map: {type(error).__name__}: {error}")

    def _on_watch_error(self, error: Exception) -> None:
        if self._node.context.ok() and not self._is_closed:
            self._health.dropped("watch_failed", f"pictures not looked at: {type(error).__name__}: {error}")


def _lasting(node: Node, settings: MapParameters) -> Any:
    """A LastingMap where it is asked for; its imports are not for those who do without."""
    if not settings.fusion.enabled:
        return None
    from mapkd_ros.map_fusion import LastingMap

    return LastingMap(node, settings)
