# SPDX-License-Identifier: Apache-2.0
"""From topics to published maps: lives from the activation of the map node to its deactivation.

The executor only stores messages; decoding runs in a pool, everything else in one worker with a queue of one.
"""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from mapkd_core.data.reduced import Fitted, Picture, reduction_for
from mapkd_ros import device_memory
from mapkd_ros.camera_input import Ahead, unchanged
from mapkd_ros.frame_set import FrameSet
from mapkd_ros.map_health import MapHealth
from mapkd_ros.map_inputs import MapInputs
from mapkd_ros.map_maker import MapMaker
from mapkd_ros.map_outputs import MapOutputs
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.predictor import Predictor
from mapkd_ros.stage_times import CompleteSet
from mapkd_ros.sync_filter import CameraSyncFilter
from mapkd_ros.worker import LatestWorker

_POLL_S = 0.02
# A camera with transport `auto` that is silent for so long may have come back on its other topic.
_LOOK_AGAIN_S = 3.0
# So long without a turn of the executor, the middleware's queues of images may have run over, which nobody counts.
_STALL_S = 0.3


class MapPipeline:
    """Inputs, synchroniser, worker and health of an active node. settings: may be exchanged by `change`."""

    def __init__(self, node: Node, predictor: Predictor, outputs: MapOutputs, settings: MapParameters) -> None:
        self._node = node
        network, device = getattr(predictor, "config", None), getattr(predictor, "device", "cpu")
        reduction = reduction_for(network, settings.decode.reduced, device)
        self.inputs = MapInputs(node, settings, lambda *why: self._health.dropped(*why), reduction, self._ahead)
        self._see_ahead: Ahead = getattr(predictor, "ahead", unchanged)
        self._health = MapHealth(node, self.inputs.cameras, settings.diagnostics)
        self._maker = MapMaker(node, predictor, outputs, self.inputs, self._health, settings)
        self._is_closed = False
        self._worker = LatestWorker(self._maker.make, self._on_error, "inference")
        self._sets = CameraSyncFilter(self.inputs.cameras, settings.policy(), self._now_ns)
        self._sets.registerCallback(self._on_set)
        self._polled_s = time.monotonic()
        self._timer = node.create_timer(_POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self, timeout_s: float = 1.0) -> bool:
        """Free the subscriptions, end the threads; waits for the inference in hand, but at most `timeout_s`.

        False when that takes longer. Nothing of it is published then.
        """
        self._is_closed = True
        self._maker.close()
        self._node.destroy_timer(self._timer)
        self.inputs.close()
        has_ended = self._worker.close(timeout_s)
        self._node.get_logger().info(f"ended with {self._health.summary(self._sets, self._worker)}")
        return has_ended

    def change(self, settings: MapParameters) -> None:
        """Other settings of those that may change at run time: all together, from the next set on."""
        self._sets.change(settings.policy())
        self._health.change(settings.diagnostics)
        self._maker.change(settings)

    def reset(self) -> None:
        """Forget frames and motion, as where a drive begins; the next map says so in input.temporal_reset."""
        self._sets.reset()
        self.inputs.forget()
        self._maker.forget()

    def report(self) -> DiagnosticArray:
        self._look_again()
        refused = {"transforms_rejected": self.inputs.transforms.rejected} if self.inputs.transforms.rejected else {}
        for name, count in (self._maker.counts() | refused).items():
            self._health.counts[name] = count
        report = self._health.report(self._sets, self._worker, self._maker.findings())
        report.status = [*report.status, *self._maker.statuses()]
        return report

    def _poll(self) -> None:
        now_s, before_s = time.monotonic(), self._polled_s
        self._polled_s = now_s
        if now_s - before_s > _STALL_S:
            self._health.stalled(now_s - before_s)
        self._sets.poll()

    def _look_again(self) -> None:
        for name, camera in self.inputs.cameras.items():
            silent_s = time.monotonic() - (camera.last_arrival_s or float("inf"))
            if silent_s > _LOOK_AGAIN_S and camera.look_again():
                topics = " and ".join(camera.topics)
                self._node.get_logger().info(f"no image of {name} for {silent_s:.1f} s: listening to {topics} again")

    def _ahead(self) -> Ahead:
        """When an image arrives: the network sees it as soon as it is decoded, while others are still to come.

        Not while a frame is predicted: that would take the longer for it, and where the cores have no time to spare,
        what comes meanwhile may never become a map.
        """
        return unchanged if self._worker.is_busy else self._seen

    def _seen(self, picture: Picture | Fitted) -> Picture | Fitted:
        """In the decoders' threads."""
        try:
            return self._see_ahead(picture)
        except Exception as error:  # the frame is predicted all the same, later
            self._health.dropped("ahead_failed", f"a picture not seen ahead: {type(error).__name__}: {error}")
            return picture

    def _on_set(self, frame_set: FrameSet) -> None:
        self._worker.submit(CompleteSet(frame_set, time.monotonic(), self._node.get_clock().now().nanoseconds))

    def _now_ns(self) -> int:
        """On simulated time the waits must stretch with it, or a slow replay would lose every late camera."""
        clock = self._node.get_clock()
        return clock.now().nanoseconds if clock.ros_time_is_active else time.monotonic_ns()

    def _on_error(self, error: Exception) -> Any:
        if is_short := device_memory.ran_out(error):
            device_memory.release(error)
        if self._node.context.ok() and not self._is_closed:
            reason = "out_of_memory" if is_short else "failed"
            self._health.dropped(reason, f"a frame gave no map: {type(error).__name__}: {error}")
