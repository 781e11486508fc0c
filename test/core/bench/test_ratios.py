# SPDX-License-Identifier: Apache-2.0
"""The ratios of `make bench`, by hand; and what is said where the node was not measured."""

from __future__ import annotations

from mapkd_core.bench import peers, ratios, speed

MEASURED = {
    "networks": {"student": {"gflop": 8.0}, "hdmapnet_shape": {"gflop": 320.0}},
    "forward_ms": {
        speed.EAGER: {"median": 60.0, "share_of_floor": 0.5},
        speed.FASTEST: {"median": 40.0, "share_of_floor": 0.75},
        speed.NODE: {"median": 25.0, "share_of_floor": 1.2},
        peers.HDMAPNET: {"median": 1200.0, "share_of_floor": 0.8},
    },
    "ratios": {"eager": 20.0, "fastest": 30.0, "node": 48.0, "mapkd_node": 60.0},
}
NODE = {
    "stages_ms": {
        "receive": {"p50": 9.0},
        "queue": {"p50": 1.0},
        "prepare": {"p50": 5.0},
        "encode": {"p50": 4.0},
        "network": {"p50": 46.0},
        "publish": None,
    }
}


def test_ratios_by_hand():
    assert ratios.ratios(MEASURED, NODE) == {
        "hdmapnet_over_student": 48.0,
        "mapkd_over_student": 60.0,
        "hdmapnet_over_student_eager": 20.0,
        "hdmapnet_over_student_operations": 40.0,
        "share_of_roofline": 0.75,
        "node_overhead": 0.12,  # 6 ms over 4 + 46
        "node_network_over_bare": 2.0,
        "node_over_bare": 1.24,  # 56 ms for 25; receiving is not the node's work
    }


def test_without_onnx_runtime_the_roofline_is_that_of_pytorch():
    forward = {name: row for name, row in MEASURED["forward_ms"].items() if name != speed.FASTEST}
    assert ratios.ratios(MEASURED | {"forward_ms": forward}, NODE)["share_of_roofline"] == 0.5


def test_a_node_that_was_not_measured_is_said():
    node = {"error": "no ROS 2 here"}
    found = ratios.ratios(MEASURED, node)
    assert found["node_overhead"] is None and found["node_network_over_bare"] is None
    told = ratios.text({"ratios": found, "node": node})
    assert "not measured" in told and told.endswith("node: no ROS 2 here")
