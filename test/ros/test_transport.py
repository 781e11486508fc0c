# SPDX-License-Identifier: Apache-2.0
"""Raw images of six cameras between two processes: none lost with the shipped profile, each loss seen without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from mapkd_core.robustness import blocks
from mapkd_ros import qos, transport_table
from mapkd_ros.dds import dds_advice, dds_environment, room_advice
from mapkd_ros.share import share

ROOM = pytest.mark.skipif(bool(room_advice()), reason=room_advice() or "enough shared memory")


def measured(profile: str, seconds: float) -> dict:
    command = [sys.executable, "-m", "mapkd_ros.transport", "--profiles", profile, "--seconds", str(seconds)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["profiles"][profile]


@ROOM
def test_with_the_shipped_profile_six_raw_streams_arrive():
    row = measured("shared_memory", 3)
    # The segment holds what comes in 0.4 s: a receiver that gets no processor for longer loses some all the same.
    least = 0.99 if os.getloadavg()[0] < (os.cpu_count() or 1) else 0.7
    assert row["sent"] == 36 and row["delivered_over_sent"] >= least, row
    assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p95"], row


def test_the_table_is_one_that_the_docs_take():
    """Two cameras, 120 sent each, one came whole and of the other 108: 90 % of the worst."""
    row = {"sent": 120, "received": {"a": 120, "b": 108}, "lost": {"a": 0, "b": 12}, "delivered_over_sent": 0.9}
    told = {
        "none": row | {"latency_ms": {"p50": 3.21, "p95": 10.04}},
        "shared_memory": {"error": "sender ended with 1"},
    }
    options = Namespace(width=1600, height=900, rate=12.0, seconds=10.0)
    lines = blocks.rows(transport_table.result(told, options))
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "defaults",
        "120",
        "90.0 %",
        "12",
        "3.2 ms",
        "10.0 ms",
    ]
    assert "sender ended with 1" in lines[3] and "rmw_cyclonedds_cpp is not installed" in lines[-1]


@ROOM
def test_what_the_defaults_lose_is_counted():
    """All but those after the last that arrived: a gap shows only with what follows it."""
    row = measured("none", 3)
    lost, received = sum(row["lost"].values()), sum(row["received"].values())
    sent = 6 * row["sent"]
    assert received + lost <= sent and (received == sent or lost > 0), row
    assert received + lost >= 0.6 * sent, row


def test_too_little_shared_memory_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("mapkd_ros.dds._NEEDED_BYTES", 10**18)
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    monkeypatch.delenv("FASTDDS_BUILTIN_TRANSPORTS", raising=False)
    assert "--shm-size" in dds_advice("auto", tmp_path) and dds_environment("auto") == {}
    assert "no/where" in dds_advice("auto", Path("no/where"))
    assert dds_advice("none") == dds_advice("shared_memory") == "", "who chose needs no advice"


def test_each_middleware_gets_its_own_profile(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "lyrical")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    assert dds_environment("auto") == {"CYCLONEDDS_URI": share("config/dds/cyclonedds.xml").as_uri()}
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    name, path = next(iter(dds_environment("shared_memory").items()))
    assert name == "FASTDDS_DEFAULT_PROFILES_FILE" and path.endswith("fastdds_shared_memory.xml")


@pytest.mark.parametrize(
    ("rmw", "name"),
    [
        ("rmw_cyclonedds_cpp", "CYCLONEDDS_URI"),
        ("rmw_fastrtps_cpp", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("rmw_fastrtps_cpp", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("", "FASTDDS_BUILTIN_TRANSPORTS"),
    ],
)
def test_what_a_vehicle_has_set_for_its_middleware_holds(monkeypatch, rmw, name):
    monkeypatch.delenv("FASTDDS_BUILTIN_TRANSPORTS", raising=False)
    monkeypatch.setenv("RMW_IMPLEMENTATION", rmw)
    monkeypatch.setenv(name, "file:///opt/vehicle/dds.xml")
    assert dds_environment("auto") == {} and f"{name} holds" in dds_advice("auto")
    assert dds_environment("shared_memory"), "unless it is asked for by name"


def test_cyclone_takes_its_profile(tmp_path):
    """By Cyclone itself, which refuses unknown settings; where it is not installed, at least well-formed."""
    path = share("config/dds/cyclonedds.xml")
    assert ElementTree.parse(path).getroot().tag == "{https://cdds.io/config}CycloneDDS"
    pytest.importorskip("cyclonedds", reason="pip install cyclonedds to have the profile read by it")
    code = "from cyclonedds.domain import DomainParticipant; DomainParticipant(0)"
    environment = {**os.environ, "CYCLONEDDS_URI": path.as_uri()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr


def test_the_overrides_for_bag_play_make_latched_topics_reach_this_node():
    """As rosbag2 reads them: policies by their lower-case names."""
    overrides = yaml.safe_load(share("config/bag/play_qos.yaml").read_text())
    wanted = {"/tf_static": qos.STATIC_TRANSFORMS, "/map/layer_info": qos.LATCHED}
    assert set(overrides) == set(wanted)
    for topic, values in overrides.items():
        offered = QoSProfile(
            history=HistoryPolicy[values["history"].upper()],
            depth=values.get("depth", 1),
            reliability=ReliabilityPolicy[values["reliability"].upper()],
            durability=DurabilityPolicy[values["durability"].upper()],
        )
        assert qos_check_compatible(offered, wanted[topic])[0] != QoSCompatibility.ERROR
        assert qos_check_compatible(qos.TRANSFORMS, wanted[topic])[0] == QoSCompatibility.ERROR, "as without them"
