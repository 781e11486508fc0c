# SPDX-License-Identifier: Apache-2.0
"""Six cameras in, a local map out: frame -> map -> messages, stamped with the anchor camera's capture time.

A managed (lifecycle) node: configure loads the network, activate listens and publishes, deactivate frees the
subscriptions, cleanup frees the network. With `autostart: true` it does the first two by itself.

Topics (relative): in <camera>/image or <camera>/image/compressed, <camera>/camera_info, odom, /tf, /tf_static; out
map/semantic_map, map/vector_map, map/input_status, map/processing_time, map/layer_info, /diagnostics, ~/ready.
Service ~/reset.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer
from std_srvs.srv import Trigger

from mapkd_ros import device_memory, qos
from mapkd_ros.diagnostics import WARN, status
from mapkd_ros.map_outputs import MapOutputs
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.map_pipeline import MapPipeline
from mapkd_ros.parameter_groups import ModelParameters
from mapkd_ros.parameters import declare, fixed_names, validated
from mapkd_ros.predictor import Predictor, make_predictor
from mapkd_ros.qos_events import ask
from mapkd_ros.readiness import Readiness
from mapkd_ros.spinning import run, settle, unsettle

# Longer than any inference but one that hangs.
_DEACTIVATION_S = 5.0


class MapNode(LifecycleNode):
    """The map node. make: gives the predictor of the parameters `model.*` when the node is configured."""

    def __init__(self, make: Callable[[ModelParameters], Predictor] | None = None, **options: Any) -> None:
        super().__init__("map_node", automatically_declare_parameters_from_overrides=True, **options)
        self._make = make or (lambda model: make_predictor(model, len(self._settings.cameras.names)))
        self._settings = declare(self, MapParameters, is_managed=True)
        self._predictor: Predictor | None = None
        self._outputs: MapOutputs | None = None
        self._pipeline: MapPipeline | None = None
        self._fault: Exception | None = None
        self._is_finalized = False
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.OUTPUT)
        self._timer = self._report_timer()
        self._readiness = Readiness(self)
        if self._settings.autostart:
            self._start()

    def close(self) -> bool:
        """End the threads; waits for the inference in hand, but at most a second: False when it takes longer."""
        return self._pipeline is None or self._pipeline.close(timeout_s=1.0)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and offer the topics; FAILURE, with the reason logged, where the weights do not fit."""
        return self._try("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen and publish."""
        return self._try("activate", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish no more and free subscriptions and threads; waits for the inference in hand."""
        return self._try("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network."""
        return self._try("clean up", self._free)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: free all."""

        def free_all() -> None:
            self._deactivate()
            self._free()
            self._is_finalized = True

        return self._try("shut down", free_all)

    def _start(self) -> None:
        """Raises what went wrong, so that a process without a manager ends with a message."""
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise self._fault or RuntimeError("map_node could not start by itself")

    def _try(self, what: str, step: Callable[[], Any]) -> TransitionCallbackReturn:
        try:
            step()
        except Exception as error:  # rclpy would swallow it
            self._fault = error
            if not (self._settings.autostart and self._pipeline is None):
                self.get_logger().error(f"could not {what}: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._predictor = self._make(self._settings.model)
        self._outputs = MapOutputs(self, self._predictor.classes, self._settings.frames.base)

    def _activate(self) -> None:
        if self._predictor is None or self._outputs is None:
            raise RuntimeError("no network: configure the node first")
        self._pipeline = MapPipeline(self, self._predictor, self._outputs, self._settings)
        settle()  # once more, where the network was configured while the node ran
        self._readiness.announce()
        topics = (" or ".join(camera.topics) for camera in self._pipeline.inputs.cameras.values())
        self.get_logger().info(f"waiting for {', '.join(topics)}")

    def _deactivate(self) -> None:
        self._readiness.withdraw()
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None and not pipeline.close(_DEACTIVATION_S):
            self.get_logger().error(f"an inference hangs since {_DEACTIVATION_S} s: its thread stays; restart the node")

    def _free(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
        self._predictor = self._outputs = None
        unsettle()
        device_memory.release()

    def _on_parameters(self, changed: list[Any]) -> SetParametersResult:
        """All or none of them; those that are read at configuration only while the node is unconfigured."""
        values = {name: item.value for name, item in self.get_parameters_by_prefix("").items()}
        asked = {item.name: item.value for item in changed}
        fixed = fixed_names(MapParameters, [name for name in asked if asked[name] != values.get(name)])
        if "autostart" in fixed:
            return SetParametersResult(successful=False, reason="autostart: read when the node starts; restart it")
        if fixed and self._predictor is not None:
            reason = f"{', '.join(fixed)}: read at configuration; deactivate and clean up the node first, or restart it"
            return SetParametersResult(successful=False, reason=reason)
        try:
            settings = validated(MapParameters, values | asked)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._settings = settings
        if "diagnostics.period_s" in fixed:
            self.destroy_timer(self._timer)
            self._timer = self._report_timer()
        if self._pipeline is not None:
            self._pipeline.change(settings)
        return SetParametersResult(successful=True)

    def _report_timer(self) -> Timer:
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        return self.create_timer(self._settings.diagnostics.period_s, self._report, clock=clock)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._pipeline is not None
        response.message = "frames and motion forgotten" if response.success else "the node is not active"
        if self._pipeline is not None:
            self._pipeline.reset()
        return response

    def _report(self) -> None:
        ask(self)
        self._diagnostics.publish(self._pipeline.report() if self._pipeline is not None else self._idle())

    def _idle(self) -> DiagnosticArray:
        state = "inactive" if self._predictor is not None else "unconfigured"
        if self._is_finalized:
            state = "finalized, no manager can start it again: restart its process"
        array = DiagnosticArray(status=[status(f"{self.get_name()}: output", WARN, f"no map: the node is {state}", {})])
        array.header.stamp = self.get_clock().now().to_msg()
        return array


def main(args: list[str] | None = None) -> int:
    """Entry point of `ros2 run mapkd map_node`."""
    return run(MapNode, args)


if __name__ == "__main__":
    sys.exit(main())
