# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says of each fault: never "active" or "publishing" for what does not work."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock

from mapkd_ros.frame_set import FrameSet, Stamped
from mapkd_ros.map_health import MapHealth
from mapkd_ros.parameter_groups import DiagnosticsParameters

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Rig:
    """Two cameras that send; `publishers` counts those on each topic."""

    publishers = 1

    def __init__(self, **limits: float) -> None:
        self.inputs = {
            name: SimpleNamespace(
                topics=(f"{name.lower()}/image",), counts=Counter(), info=object(), last_arrival_s=time.monotonic()
            )
            for name in ("A", "B")
        }
        self.clock = Clock()
        log = SimpleNamespace(warning=lambda _: None, error=lambda _: None)
        node = SimpleNamespace(
            get_logger=lambda: log,
            get_name=lambda: "map_node",
            get_clock=lambda: self.clock,
            count_publishers=self._count,
            resolve_topic_name=lambda topic: f"/{topic}",
        )
        self.health = MapHealth(node, self.inputs, DiagnosticsParameters(**limits))
        synchroniser = SimpleNamespace(counts=Counter(), camera_counts={"A": Counter(), "B": Counter()})
        self.sets = SimpleNamespace(synchroniser=synchroniser)
        self.worker = SimpleNamespace(replaced=0, busy_since=None)

    def _count(self, _: str) -> int:
        return self.publishers

    def told(self) -> dict[str, tuple[bytes, str]]:
        """Status name -> level and message of one report."""
        report = self.health.report(self.sets, self.worker)
        return {item.name.removeprefix("map_node: "): (item.level, item.message) for item in report.status}


def seen(*cameras: str) -> FrameSet:
    states = {name: "ok" if name in cameras else "too_far" for name in ("A", "B")}
    return FrameSet(5, "A", {name: Stamped(5, None) for name in cameras}, states)


def test_all_well():
    rig = Rig()
    rig.health.cameras(seen("A", "B"), {})
    rig.health.published({"network": 3.0}, 40.0, True)
    assert rig.told() == {"output": (OK, "publishing"), "A": (OK, "active"), "B": (OK, "active")}


def test_a_camera_of_another_clock_is_not_active():
    rig = Rig()
    for _ in range(4):
        rig.health.cameras(seen("A"), {})
    assert rig.told()["B"] == (OK, "active"), "a lost image or two are no fault of its clock"
    rig.health.cameras(seen("A"), {})
    level, message = rig.told()["B"]
    assert level == WARN and "last 5 sets" in message and "clock" in message
    rig.health.cameras(seen("A", "B"), {})
    assert rig.told()["B"][0] == OK


def test_a_camera_of_another_clock_is_told_where_its_sets_are_skipped():
    """The worker never sees such a set."""
    rig = Rig()
    counts = rig.sets.synchroniser.camera_counts["B"]
    counts.update(too_far=3)
    assert rig.told()["B"] == (OK, "active")
    counts.update(too_far=3)
    level, message = rig.told()["B"]
    assert level == WARN and "last 6 sets" in message and "clock" in message
    counts.update(ok=1)
    assert rig.told()["B"] == (OK, "active")


def test_images_without_a_stamp_are_told():
    rig = Rig()
    rig.sets.synchroniser.camera_counts["A"]["unstamped"] = 3
    assert "header.stamp 0" in rig.told()["A"][1]
    assert rig.told()["A"][0] == OK, "none since the last report"


def test_a_driver_that_sends_its_last_image_again_and_again_is_told():
    rig = Rig()
    counts = rig.sets.synchroniser.camera_counts["A"]
    counts.update(received=12, duplicate=2)
    assert rig.told()["A"] == (OK, "active"), "a doubled image or two do no harm"
    counts.update(received=12, duplicate=12)
    level, message = rig.told()["A"]
    assert level == WARN and "the driver hangs" in message
    counts.update(received=12)
    assert rig.told()["A"] == (OK, "active")


def test_images_lost_on_the_way_are_told_with_the_remedy_but_not_a_single_one():
    rig = Rig()
    rig.inputs["A"].counts.update(received=15, lost=45)
    rig.inputs["B"].counts.update(received=15, lost=1)
    told = rig.told()
    assert told["A"][0] == WARN and told["A"][1].startswith("45 of 60 images lost on the way: use the shipped DDS")
    assert told["B"] == (OK, "active")
    rig.inputs["A"].counts.update(received=12)
    assert rig.told()["A"][0] == OK, "none since the last report"


def test_a_process_that_stood_still_is_told_once():
    rig = Rig()
    rig.health.published({}, 40.0, True)
    rig.health.stalled(0.4)
    rig.health.stalled(0.7)
    assert rig.told()["output"] == (WARN, "nothing was received for 0.7 s: images of then may be lost, uncounted")
    assert rig.told()["output"] == (OK, "publishing") and rig.health.counts["executor_stalled"] == 2


def test_two_drivers_on_one_topic_are_told():
    rig = Rig()
    rig.publishers = 2
    assert rig.told()["A"] == (WARN, "2 publishers on a/image: images mix")


def test_every_lost_set_is_told_with_its_reason_once():
    rig = Rig()
    rig.health.published({}, 40.0, True)
    rig.worker.replaced, rig.sets.synchroniser.counts["incomplete"] = 2, 1
    assert rig.told()["output"] == (WARN, "no map for 2 dropped_busy, 1 incomplete")
    assert rig.told()["output"] == (OK, "publishing")


def test_an_inference_that_always_fails_is_an_error_with_its_own_words():
    rig = Rig(error_output_age_s=0.01, warn_output_age_s=0.01)
    rig.health.dropped("failed", "a frame gave no map: RuntimeError: CUDA out of memory")
    time.sleep(0.02)
    level, message = rig.told()["output"]
    assert level == ERROR and "CUDA out of memory" in message


@pytest.mark.parametrize(("latency_ms", "said"), [(500.0, "latency 500 ms"), (-5000.0, "5.0 s ahead of this node's")])
def test_late_maps_and_stamps_of_the_future_are_told(latency_ms, said):
    rig = Rig()
    rig.health.published({}, latency_ms, True)
    level, message = rig.told()["output"]
    assert level == WARN and said in message


def test_a_clock_that_stands_still_is_told(monkeypatch):
    rig = Rig(warn_output_age_s=100.0, error_output_age_s=100.0)
    stopped = Clock().now()
    rig.clock = SimpleNamespace(now=lambda: stopped)
    assert rig.told()["output"][0] == OK
    now_s = time.monotonic() + 3.0
    monkeypatch.setattr("mapkd_ros.map_health.time.monotonic", lambda: now_s)
    level, message = rig.told()["output"]
    assert level == WARN and "/clock stands still for 3.0 s" in message


def test_a_clock_that_stands_still_is_the_reason_that_no_map_comes(monkeypatch):
    rig = Rig()
    stopped = Clock().now()
    rig.clock = SimpleNamespace(now=lambda: stopped)
    rig.told()
    now_s = time.monotonic() + 3.0
    monkeypatch.setattr("mapkd_ros.map_health.time.monotonic", lambda: now_s)
    level, message = rig.told()["output"]
    assert level == ERROR and "no map for 3.0 s: /clock stands still for 3.0 s" in message


def test_a_mount_that_does_not_fit_is_told_of_a_camera_that_is_used():
    rig = Rig()
    rig.health.cameras(seen("A", "B"), {}, {"B": "looks to the wrong side"})
    assert rig.told()["B"] == (WARN, "looks to the wrong side") and rig.told()["A"][0] == OK
