# SPDX-License-Identifier: Apache-2.0
"""How processes end: no node is left behind, and a full disk is a message and exit code 1, not a traceback."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import VectorMap
from rig import Process, newest

from mapkd_ros import qos
from mapkd_ros.processes import NodeGroup, NodeProcess

# An interrupted node ends within two seconds; a busy machine gets as much again.
END_S = 4.0

# The console command with the lightest of the nodes.
RUN = """
import sys
from mapkd_ros import run
from mapkd_ros.processes import NodeProcess
run._map_nodes = lambda options: [NodeProcess("marker_node")]
sys.exit(run.main(["map", "--logs", sys.argv[1]]))
"""
# Files of at most 64 kB, as on a disk that is full.
LIMITED = """
import resource, sys
from mapkd_ros.record_node import main
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
sys.exit(main())
"""
# A node that has ended, in an interpreter that takes its time to end.
ENDED = """
import sys, time
from rclpy.node import Node
from mapkd_ros.spinning import run
def make():
    node = Node("short")
    node.create_timer(0.01, lambda: sys.exit(0))
    return node
code = run(make)
print("ended", flush=True)
time.sleep(3)
sys.exit(code)
"""


# A node whose network takes its time to load.
LOADING = """
import sys, time
from mapkd_ros.map_node import MapNode
from mapkd_ros.spinning import run
def make(_):
    print("loading", flush=True)
    time.sleep(60)
sys.exit(run(lambda: MapNode(make)))
"""


def children(process: Process) -> list[int]:
    pid = process.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_console_command_ends_its_nodes(bench, start, tmp_path, number):
    process = start("-c", RUN, tmp_path)
    assert bench.until(lambda: bench.count_publishers("map/markers")), process.output
    nodes = children(process)
    assert nodes
    process.process.send_signal(number)
    assert process.process.wait(30) == 0, process.output
    assert not [pid for pid in nodes if Path(f"/proc/{pid}").exists()]


def test_nodes_started_before_one_that_cannot_start_are_ended(tmp_path, monkeypatch):
    group, started = NodeGroup.__new__(NodeGroup), []
    begin = NodeGroup._start

    def starting(self, node, *rest):
        begin(self, node, *rest)
        started.extend(self._running.values())

    monkeypatch.setattr(NodeGroup, "_start", starting)
    # The log of the second lies in a folder that is not there.
    with pytest.raises(FileNotFoundError):
        group.__init__([NodeProcess("marker_node"), NodeProcess("none/map_node")], logs=tmp_path)
    assert started and all(process.poll() is not None for process in started)


def test_an_inference_inside_a_library_does_not_outlive_a_sigint(bench, map_node):
    """The thread is a daemon in compiled code: an interpreter that takes itself down under it may crash or hang."""
    process = map_node("--inside-a-library", "--ros-args", "-p", "diagnostics.period_s:=0.1")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    bench.capture(1_700_000_000_000_000_000)
    assert bench.until(lambda: float(newest(diagnostics, "output")[2].get("busy_s", 0)) > 0.1), process.output
    code, seconds = process.interrupt()
    assert code == 0 and seconds < END_S and "Traceback" not in process.output, (code, seconds, process.output)


def test_a_sigint_while_the_network_loads_ends_the_node(bench, start):
    process = start("-c", LOADING)
    assert bench.until(lambda: "loading" in process.output), process.output
    code, seconds = process.interrupt()
    bench.recoveries_s.append(seconds)
    assert code == 0 and seconds < END_S and "Traceback" not in process.output, (code, seconds, process.output)


def test_a_disk_that_is_full_ends_the_recording_with_a_message(bench, start, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")  # shared memory counts as files
    process = start("-c", LIMITED, "--ros-args", "-p", f"bag:={tmp_path / 'bag'}")
    bench.offer(VectorMap, "map/vector_map", qos.OUTPUT)
    assert bench.until(lambda: bench.count_subscribers("map/vector_map")), process.output
    noise, rng, end_s = VectorMap(), np.random.default_rng(0), time.monotonic() + 60
    while process.process.poll() is None and time.monotonic() < end_s:
        noise.model_id = rng.bytes(50_000).hex()
        bench.send(VectorMap, "map/vector_map", noise)
        bench.spin(0.01)
    assert process.process.poll() == 1, process.output
    assert "free some space" in process.output and "Traceback" not in process.output, process.output


def test_a_parameter_file_that_is_no_yaml_ends_in_a_message(start, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("/**:\n  ros__parameters: [1, {\n")
    process = start("-m", "mapkd_ros.marker_node", "--ros-args", "--params-file", file)
    assert process.process.wait(60) == 1
    assert "own.yaml" in process.output and "Traceback" not in process.output, process.output


def test_a_signal_that_comes_after_the_end_is_no_failure(bench, start):
    process = start("-c", ENDED)
    assert bench.until(lambda: "ended" in process.output), process.output
    assert process.interrupt()[0] == 0, process.output
