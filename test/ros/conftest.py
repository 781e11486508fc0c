# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests with real nodes: a DDS domain per test, processes that end with it."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

_DOMAINS = itertools.count(os.getpid() % 90 + 1)


@pytest.fixture
def bench():
    """A `rig.Bench` in a domain of its own."""
    pytest.importorskip("rclpy", reason="no ROS 2: run environment/setup.sh and source .ros/setup.bash")
    from rig import Bench

    node = Bench(next(_DOMAINS))
    yield node
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
