# SPDX-License-Identifier: Apache-2.0
"""What the worker does with a set of images: assemble, predict, remember, publish, and look at the pictures."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

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

_START_GRACE_S = 0.5
_POLL_S = 0.02


class MapMaker:
    """One set becomes one map, in the worker's thread; all else may be called from others."""

    def __init__(
        self,
        node: Node,
        predictor: Predictor,
        outputs: MapOutputs,
        inputs: MapInputs,
        health: MapHealth,
        settings: MapParameters,
    ) -> None:
        self._node, self._predictor, self._outputs, self._inputs = node, predictor, outputs, inputs
        self._health, self._settings = health, settings
        self._applied: MapParameters | None = None  # what was set since the network was loaded is still to be applied
        modalities = getattr(predictor, "modalities", ("camera",))
        self._sides = SideInputs(inputs, modalities, settings)
        self._watches = CameraWatches(settings.watch, self._on_watch_error)
        self._lasting, self._memory = _lasting(node, settings), MapMemory(settings.memory)
        self._assembler = FrameAssembler(
            inputs.transforms,
            inputs.odometry,
            base_frame=settings.frames.base,
            frame_ids=settings.frame_ids(),
            is_rectified=settings.cameras.images_are_rectified,
            expect=getattr(predictor, "expect", lambda _: None),
        )
        # None: what came before this activation, or this process, a consumer must not take for memory of this one's.
        self._last_epoch: int | None = None
        self._is_closed = False

    def close(self) -> None:
        """Nothing is published any more, not even the map in hand."""
        self._is_closed = True
        if self._lasting is not None:
            self._lasting.close()
        self._watches.close()

    def change(self, settings: MapParameters) -> None:
        """Other settings of those that may change at run time, from the next set on."""
        self._sides.change(settings)
        self._watches.change(settings.watch)
        self._memory.change(settings.memory)
        self._settings = settings

    def forget(self) -> None:
        """What was seen before, as where a drive begins."""
        self._sides.forget()
        self._watches.forget()
        self._memory.forget()

    def make(self, job: CompleteSet) -> None:
        """In the worker: publish the map of a set, and note how it fared."""
        frame_set, settings, begin_s = job.frame_set, self._settings, time.monotonic()
        self._apply(settings)
        assembled = self._assemble(frame_set)
        states = self._health.cameras(frame_set, assembled.rejected, assembled.doubts)
        offsets_ns = {camera.name: camera.stamp_ns - frame_set.stamp_ns for camera in assembled.frame.cameras}
        # Against the last map that went out: what fell out in between must not hide a reset.
        status = input_status(states, offsets_ns, frame_set.epoch != self._last_epoch)
        if reason := _too_little(assembled, settings):
            self._outputs.status(status)
            self._health.dropped(reason, f"no map at {frame_set.stamp_ns} ns: {assembled.rejected}")
            return
        frame = self._sides.extend(assembled.frame, self._assembler)
        ready_s = time.monotonic()
        try:
            predicted = self._predictor.predict(frame)
        except Exception:
            self._outputs.status(status)
            raise
        if self._is_closed:
            return
        model_id, at_ns = str(getattr(self._predictor, "model_id", "")), frame_set.stamp_ns
        spent = self._outputs.lines(predicted, at_ns, status, model_id)
        local_map = self._memory.fill(predicted, frame.odom_T_ego, status.temporal_reset)  # of the raster alone
        times_ms = (
            before_prediction(job, begin_s, ready_s, assembled.waited_s, assembled.encoded_s) | local_map.times_ms
        )
        told = self._outputs.rest(local_map, at_ns, status, times_ms, spent, settings.publish.semantic_map)
        self._health.published(*told, assembled.has_ego_motion)
        self._last_epoch = frame_set.epoch
        self._watches.look(frame, frame_set.epoch)
        if self._lasting is not None:
            self._lasting.add(local_map, frame, assembled.odom, status, model_id)

    def counts(self) -> dict[str, int]:
        """Of the memory and of the watches, for the health report."""
        return {
            "remembered_percent": round(100 * self._memory.share),
            "watch_looks": self._watches.looks,
            "watch_ms": round(1e3 * self._watches.spent_s),
        }

    def findings(self) -> Any:
        """Of the watches."""
        return self._watches.findings()

    def statuses(self) -> list[DiagnosticStatus]:
        """Of LiDAR, priors and the lasting map, where there are such."""
        lasting = [] if self._lasting is None else [self._lasting.report()]
        return [*self._sides.report(self._node), *lasting]

    def _apply(self, settings: MapParameters) -> None:
        is_new = self._applied is None or settings.model != self._applied.model
        if is_new and hasattr(self._predictor, "set_min_confidence"):
            self._predictor.set_min_confidence(settings.model.confidence())
        self._applied = settings

    def _assemble(self, frame_set: FrameSet) -> AssembledFrame:
        """At the start calibration and transforms may come a moment after the images: that costs no frame."""
        cameras = self._inputs.cameras
        deadline_s = cameras[frame_set.anchor].first_arrival_s + _START_GRACE_S
        while True:
            found = {name: cameras[name].info_at(stamped.stamp_ns) for name, stamped in frame_set.frames.items()}
            infos = {name: info for name, info in found.items() if info is not None}
            assembled = self._assembler.assemble(frame_set, infos, CameraImage.picture)
            if not assembled.rejected or self._is_closed or time.monotonic() > deadline_s:
                return assembled
            time.sleep(_POLL_S)

    def _on_watch_error(self, error: Exception) -> None:
        if self._node.context.ok() and not self._is_closed:
            self._health.dropped("watch_failed", f"pictures not looked at: {type(error).__name__}: {error}")


def _too_little(assembled: AssembledFrame, settings: MapParameters) -> str:
    """Why no map is made of it, as the health report counts it; empty where one is."""
    if settings.sync.missing == "skip" and assembled.rejected:
        return "camera_rejected"
    return "no_usable_camera" if len(assembled.frame.cameras) < settings.sync.min_cameras else ""


def _lasting(node: Node, settings: MapParameters) -> Any:
    """A LastingMap where it is asked for; its imports are not for those who do without."""
    if not settings.fusion.enabled:
        return None
    from mapkd_ros.map_fusion import LastingMap

    return LastingMap(node, settings)
