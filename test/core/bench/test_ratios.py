# SPDX-License-Identifier: Apache-2.0
"""The ratios of `make bench`, by hand; and what is said where the node was not measured."""

from __future__ import annotations

from mapkd_core.bench import ratios, speed

MEASURED = {
    "networks": {"student": {"gflop": 8.0}, "hdmapnet_shape": {"gflop": 320.0}},
    "forward_ms": {
        speed.EAGER: {"median": 60.0, "share_of_floor": 0.5},
        speed.FASTEST: {"median": 40.0, "share_of_floor": 0.75},
        speed.YARDSTICK: {"median": 1200.0, "share_of_floor": 0.8},
    },
    "ratios": {"eager": 20.0, "fastest": 30.0},
}
NODE = {"stages_ms": {"queue": {"p50": 1.0}, "prepare": {"p50": 5.0}, "network": {"p50": 50.0}, "publish": None}}


def test_ratios_by_hand():
    assert ratios.ratios(MEASURED, NODE) == {
        "hdmapnet_over_student": 30.0,
        "hdmapnet_over_student_eager": 20.0,
        "hdmapnet_over_student_operations": 40.0,
        "share_of_roofline": 0.75,
        "node_overhead": 0.12,  # 6 ms over 50
        "node_network_over_bare": 1.25,
    }


def test_without_onnx_runtime_the_student_is_that_of_pytorch():
    forward = {name: MEASURED["forward_ms"][name] for name in (speed.EAGER, speed.YARDSTICK)}
    found = ratios.ratios(MEASURED | {"forward_ms": forward, "ratios": {"eager": 20.0}}, NODE)
    assert (found["hdmapnet_over_student"], found["share_of_roofline"]) == (20.0, 0.5)


def test_a_node_that_was_not_measured_is_said():
    node = {"error": "no ROS 2 here"}
    found = ratios.ratios(MEASURED, node)
    assert found["node_overhead"] is None and found["node_network_over_bare"] is None
    told = ratios.text({"ratios": found, "node": node})
    assert "not measured" in told and told.endswith("node: no ROS 2 here")
