# SPDX-License-Identifier: Apache-2.0
"""The map node as a managed node: by services from outside, and ten cycles that leave nothing behind."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from mapkd.msg import VectorMap
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rig import CAMERAS, image_topic, newest
from std_srvs.srv import Trigger
from stub_predictor import StubPredictor

from mapkd_ros.conversions import stamp_ns
from mapkd_ros.map_node import MapNode

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 83_333_333
WAITING = ("--ros-args", "-p", "autostart:=false", "-p", "diagnostics.period_s:=0.1", "-p", "sync.wait_s:=1.0")
SUCCESS = TransitionCallbackReturn.SUCCESS


class HeavyPredictor(StubPredictor):
    """32 MB of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = np.ones(32 * 2**20, np.uint8)


def change(bench, name: str) -> bool:
    number = getattr(Transition, f"TRANSITION_{name.upper()}")
    request = ChangeState.Request(transition=Transition(id=number))
    return bench.call(ChangeState, "map_node/change_state", request).success


def state(bench) -> int:
    return bench.call(GetState, "map_node/get_state", GetState.Request()).current_state.id


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def test_a_manager_leads_the_node_through_its_states(bench, map_node):
    process = map_node(*WAITING)
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    assert state(bench) == State.PRIMARY_STATE_UNCONFIGURED, process.output
    assert bench.until(lambda: newest(diagnostics, "output")[0] == "no map: the node is unconfigured"), process.output
    assert bench.set("map_node", decode_threads=1).successful, "while unconfigured all may be set"
    assert not change(bench, "activate")
    assert change(bench, "configure") and state(bench) == State.PRIMARY_STATE_INACTIVE
    assert bench.until(lambda: newest(diagnostics, "output")[0] == "no map: the node is inactive"), process.output
    assert bench.count_publishers("map/vector_map") == 1
    topic = image_topic("CAM_FRONT", "compressed")
    assert bench.count_subscribers(topic) == 0
    for cycle in range(2):
        assert change(bench, "activate") and state(bench) == State.PRIMARY_STATE_ACTIVE
        bench.connect()
        bench.capture(START_NS + cycle * PERIOD_NS)
        assert bench.until(lambda cycle=cycle: len(vectors) == cycle + 1), process.output
        refused = bench.set("map_node", decode_threads=2)
        assert not refused.successful and "decode_threads: read at configuration" in refused.reason
        assert change(bench, "deactivate"), process.output
        assert bench.until(lambda: bench.count_subscribers(topic) == 0)
        bench.capture(START_NS + (cycle + 10) * PERIOD_NS)
        bench.spin(0.3)
        assert len(vectors) == cycle + 1, "deactivated it publishes nothing"
    assert change(bench, "cleanup") and bench.until(lambda: bench.count_publishers("map/vector_map") == 0)
    assert change(bench, "unconfigured_shutdown") and state(bench) == State.PRIMARY_STATE_FINALIZED
    assert bench.until(lambda: "finalized" in newest(diagnostics, "output")[0]), process.output
    assert process.interrupt()[0] == 0 and "Traceback" not in process.output, process.output


def test_weights_that_do_not_fit_leave_a_managed_node_unconfigured_with_the_reason(bench, start, tmp_path):
    missing = tmp_path / "none.safetensors"
    process = start("-m", "mapkd_ros.map_node", *WAITING, "-p", f"model.weights:={missing}")
    assert not change(bench, "configure")
    assert str(missing) in process.output and "Traceback" not in process.output, process.output
    assert state(bench) == State.PRIMARY_STATE_UNCONFIGURED and process.process.poll() is None


@pytest.fixture
def node(bench):
    """A map node in this process, with 32 MB of a predictor; `made` are weak references to those it made."""
    made = []

    def make(_):
        predictor = HeavyPredictor()
        made.append(weakref.ref(predictor))
        return predictor

    overrides = [Parameter("autostart", value=False), Parameter("sync.wait_s", value=1.0)]
    node = MapNode(make, context=bench.own_context, parameter_overrides=overrides)
    node.made = made
    bench._executor.add_node(node)
    yield node
    node.close()
    bench._executor.remove_node(node)
    node.destroy_node()


def test_ten_cycles_leave_no_memory_thread_or_subscription_behind(bench, node):
    vectors = bench.listen(VectorMap, "map/vector_map")
    entities = lambda: tuple(len(list(getattr(node, kind))) for kind in ("subscriptions", "publishers", "timers"))  # noqa: E731
    before, threads, memory_mb = entities(), threading.active_count(), []
    for cycle in range(10):
        assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
        assert entities()[0] >= before[0] + 3 + len(CAMERAS)
        bench.connect()
        bench.capture(START_NS + cycle * PERIOD_NS)
        assert bench.until(lambda cycle=cycle: len(vectors) == cycle + 1)
        assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
        assert bench.until(lambda: threading.active_count() == threads, 10), threading.enumerate()
        assert entities() == before
        gc.collect()
        memory_mb.append(resident_mb())
    # The executor keeps the callback that it ran last until it turns again; before it did so in the next cycle.
    is_freed = lambda: gc.collect() >= 0 and not any(reference() for reference in node.made)  # noqa: E731
    assert len(node.made) == 10 and bench.until(is_freed, 10), "cleanup frees the network"
    assert memory_mb[-1] - memory_mb[2] < 16, memory_mb


def test_parameters_change_together_or_not_at_all_and_hold_from_the_next_map_on(bench, map_node):
    process = map_node("--ros-args", "-p", "sync.wait_s:=0.1", "-p", "sync.missing:=skip")
    vectors = bench.listen(VectorMap, "map/vector_map")
    bench.connect()
    refused = bench.set("map_node", sync__missing="mask", sync__min_cameras=7)
    assert not refused.successful and "min_cameras 7: use 1 to 6" in refused.reason, refused.reason
    assert not bench.set("map_node", sync__wait_s=99.0).successful
    bench.capture(START_NS, cameras=CAMERAS[:4])
    bench.spin(1.0)
    assert not vectors, "the whole change was refused, so five of six are still no set"
    accepted = bench.set("map_node", sync__missing="mask", sync__min_cameras=3, model__min_confidence=0.85)
    assert accepted.successful, accepted.reason
    bench.capture(START_NS + PERIOD_NS, cameras=CAMERAS[:4])
    assert bench.until(lambda: vectors), process.output
    assert [line.confidence for line in vectors[0].polylines] == [pytest.approx(0.9)]


def test_what_is_set_while_the_node_is_inactive_holds_from_the_first_map_on(bench, map_node):
    process = map_node("--ros-args", "-p", "autostart:=false", "-p", "sync.wait_s:=1.0")
    vectors, diagnostics = bench.listen(VectorMap, "map/vector_map"), bench.listen(DiagnosticArray, "/diagnostics")
    assert bench.until(lambda: len(diagnostics) >= 2), process.output
    assert bench.set("map_node", diagnostics__period_s=0.05).successful, "unconfigured, it may"
    before = len(diagnostics)
    assert bench.until(lambda: len(diagnostics) >= before + 10, 3), "and it does"
    refused = bench.set("map_node", autostart=True)
    assert not refused.successful and "restart" in refused.reason
    assert change(bench, "configure"), process.output
    assert bench.set("map_node", model__min_confidence=0.85).successful
    assert change(bench, "activate"), process.output
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: vectors), process.output
    assert [line.confidence for line in vectors[0].polylines] == [pytest.approx(0.9)]


def test_a_reset_is_told_by_the_next_map(bench, map_node):
    process = map_node("--ros-args", "-p", "sync.wait_s:=1.0")
    vectors = bench.listen(VectorMap, "map/vector_map")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: vectors), process.output
    assert bench.call(Trigger, "map_node/reset", Trigger.Request()).success
    bench.capture(START_NS - PERIOD_NS)
    assert bench.until(lambda: len(vectors) == 2), process.output
    bench.capture(START_NS)
    assert bench.until(lambda: len(vectors) == 3), process.output
    # The first of an activation has no memory of what consumers saw before, be it of another process.
    assert [m.input.temporal_reset for m in vectors] == [True, True, False]
    assert stamp_ns(vectors[1].header.stamp) == START_NS - PERIOD_NS, "stamps may go back after it, by however little"
