# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests with real nodes: a DDS domain per test, processes that end with it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Messages check the types of their fields, as they always do in Humble. Read when a message is imported.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
# Tests kill processes; whoever comes next in the domain may wait at a dead port of Fast DDS' shared memory, a port that
# only ends with its sender. The shipped shared-memory profile has tests of its own (test_transport.py).
os.environ.setdefault("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")

# Tests of what needs no ROS; the others are left out where there is none, and the header says so.
_WITHOUT_ROS = {
    f"test_{name}.py"
    for name in ("synchroniser", "sync_bench", "silence", "transforms", "worker", "parameters", "playback")
}
_HAS_ROS = all(importlib.util.find_spec(name) is not None for name in ("rclpy", "mapkd"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Only the tests without ROS where there is none; MAPKD_REQUIRE_ROS=1 turns its absence into errors."""
    is_test = collection_path.name.startswith("test_")
    if _HAS_ROS or os.environ.get("MAPKD_REQUIRE_ROS") or not is_test or collection_path.name in _WITHOUT_ROS:
        return None
    return True


def pytest_report_header() -> str | None:
    if _HAS_ROS:
        return None
    return "test/ros: tests of the nodes are left out: no ROS 2 here; run environment/setup.sh, source .ros/setup.bash"


@pytest.fixture(autouse=True)
def ros_domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A DDS domain for this test alone, in the environment, so that the processes a test starts share it."""
    from domains import own_domain

    with own_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain


@pytest.fixture
def bench(ros_domain_id, record_property):
    """A `rig.Bench` in the test's domain; how long recoveries took goes into pytest's report (fault_bench)."""
    from rig import Bench

    node = Bench(ros_domain_id)
    yield node
    for seconds in node.recoveries_s:
        record_property("recovered_s", round(seconds, 3))
    node.shut()


@pytest.fixture
def start(bench, tmp_path):
    """start(*arguments) runs `python *arguments` in the bench's domain and kills it at the end of the test."""
    from rig import Process

    processes = []

    def starter(*arguments: str) -> Process:
        processes.append(Process(bench.domain, tmp_path / f"process_{len(processes)}.log", *map(str, arguments)))
        return processes[-1]

    yield starter
    for process in processes:
        process.stop()


@pytest.fixture
def map_node(start):
    """map_node(*arguments) starts the map node with the stub predictor."""
    from rig import HERE

    return lambda *arguments: start(HERE / "stub_predictor.py", *arguments)


@pytest.fixture(scope="session")
def bag(tmp_path_factory) -> Path:
    """A drive of two seconds, see `drive_bag`."""
    from drive_bag import write_drive

    return write_drive(tmp_path_factory.mktemp("bags") / "drive.mcap")
