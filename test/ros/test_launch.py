# SPDX-License-Identifier: Apache-2.0
"""The launch files under the real `launch`: their arguments, what they start with which parameters, and a replay."""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from rig import HERE

from mapkd_core.bags.storage import BagReader

ROOT = Path(__file__).parents[2]
NODES = ("map_node", "marker_node", "replay_node", "evaluation_node", "record_node")
# Writes its arguments and lives on, as a node would.
RECORDER = '#!/bin/sh\nprintf "%s\\n" "$@" > {file}.part\nmv {file}.part {file}\nexec sleep 600\n'

pytest.importorskip("launch_ros", reason="launch_ros is not installed here (on no package registry)")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install(node -> text of its executable): a workspace whose other files are links into the source; its prefix."""
    prefix = tmp_path / "install"

    def make(executables: dict[str, str]) -> Path:
        for folder in ("share/ament_index/resource_index/packages", "share/mapkd", "lib/mapkd"):
            (prefix / folder).mkdir(parents=True)
        (prefix / "share/ament_index/resource_index/packages/mapkd").touch()
        for folder in ("launch", "config"):
            (prefix / "share/mapkd" / folder).symlink_to(ROOT / folder)
        for node, text in executables.items():
            (prefix / "lib/mapkd" / node).write_text(text)
            (prefix / "lib/mapkd" / node).chmod(0o755)
        return prefix

    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}{os.pathsep}{os.environ.get('AMENT_PREFIX_PATH', '')}")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    return make


@pytest.fixture
def launched(install, start, bench, tmp_path):
    """launched(file, expected nodes, **arguments) -> node -> its arguments, with executables that only note them."""

    def run(name: str, nodes: set[str], **arguments: str) -> dict[str, list[str]]:
        files = {node: tmp_path / f"{node}.arguments" for node in NODES}
        prefix = install({node: RECORDER.format(file=file) for node, file in files.items()})
        path = prefix / f"share/mapkd/launch/{name}.launch.py"
        process = start(HERE / "launch_file.py", path, *(f"{key}:={value}" for key, value in arguments.items()))
        # A SIGINT that comes before launch has noted the start of a process would not reach that process.
        noted = bench.until(
            lambda: (
                all(files[n].exists() and f"[{n}-" in process.output for n in nodes)
                or process.process.poll() is not None
            ),
            60,
        )
        assert noted and process.process.poll() is None, process.output
        process.interrupt()
        assert "Traceback" not in process.output, process.output
        assert {node for node, file in files.items() if file.exists()} == nodes
        return {node: files[node].read_text().splitlines() for node in nodes}

    return run


def parameters(node: str, arguments: list[str]) -> dict[str, object]:
    """What the node would take from its parameter files, in their order."""
    result: dict[str, object] = {}
    for path in [after for before, after in pairwise(arguments) if before == "--params-file"]:
        # launch writes lists as Python's tuples; rcl's parser takes no notice of the tag.
        for key, content in yaml.safe_load(Path(path).read_text().replace("!!python/tuple", "")).items():
            if key.rsplit("/", 1)[-1] in ("**", node):
                result |= content["ros__parameters"]
    return result


@pytest.mark.parametrize("name", ["map", "replay"])
def test_every_argument_is_described_and_the_replay_takes_those_of_the_map_too(install, name):
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    path = install({}) / f"share/mapkd/launch/{name}.launch.py"
    description = get_launch_description_from_python_launch_file(str(path))
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert {"params_file", "weights", "namespace", "markers", "rviz", "dds_profile", "log_level"} <= set(arguments)
    assert all(argument.description for argument in arguments.values())
    required = {name for name, argument in arguments.items() if argument.default_value is None}
    assert required == ({"bag"} if name == "replay" else set())


def test_live_starts_the_map_and_its_markers_from_the_shipped_parameters(launched):
    arguments = launched("map", {"map_node", "marker_node"})
    found = parameters("map_node", arguments["map_node"])
    assert found["sync"]["anchor"] == "CAM_FRONT" and "use_sim_time" not in found and "model.weights" not in found
    assert parameters("marker_node", arguments["marker_node"]) == {"occupancy_layers": ["boundary"]}


def test_what_the_user_gives_goes_on_top(launched, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("/**/map_node:\n  ros__parameters:\n    decode_threads: 3\n    sync: {wait_s: 0.4}\n")
    given = {"params_file": own, "weights": "w.safetensors", "use_sim_time": "true", "markers": "false"}
    arguments = launched("map", {"map_node"}, namespace="front", log_level="debug", **given)["map_node"]
    found = parameters("map_node", arguments)
    assert (found["decode_threads"], found["sync"]) == (3, {"wait_s": 0.4})
    assert found["model.weights"] == "w.safetensors" and found["use_sim_time"] is True
    assert "__ns:=/front" in arguments and "debug" in arguments


def test_a_replay_takes_its_own_parameters_on_top_of_the_live_ones(launched, tmp_path):
    given = {"bag": "drive.mcap", "rate": "0.5", "report": "metrics.json"}
    arguments = launched("replay", {"map_node", "marker_node", "replay_node", "evaluation_node"}, **given)
    found = {node: parameters(node, arguments[node]) for node in arguments}
    assert found["map_node"]["qos"]["image_reliability"] == "reliable" and found["map_node"]["use_sim_time"] is True
    assert found["map_node"]["sync"]["anchor"] == "CAM_FRONT"
    replay = {"bag": "drive.mcap", "rate": 0.5, "loop": False, "use_sim_time": False}
    replay["wait_for_nodes"] = ["map_node", "evaluation_node"]
    assert replay.items() <= found["replay_node"].items()
    assert (found["evaluation_node"]["report"], found["evaluation_node"]["end_after_idle_s"]) == ("metrics.json", 0.0)


def test_parameters_that_are_not_there_end_the_launch_with_their_path(install, start):
    path = install(dict.fromkeys(NODES, "#!/bin/sh\nexec sleep 600\n")) / "share/mapkd/launch/map.launch.py"
    process = start(HERE / "launch_file.py", path, "params_file:=none.yaml")
    assert process.process.wait(60) == 1
    assert "params_file none.yaml" in process.output


def test_a_bag_that_cannot_be_played_fails_the_launch(install, start, tmp_path):
    text = '#!/bin/sh\nexec {} {} "$@"\n'
    nodes = dict.fromkeys(NODES, "#!/bin/sh\nexec sleep 600\n")
    nodes["replay_node"] = text.format(sys.executable, "-m mapkd_ros.replay_node")
    path = install(nodes) / "share/mapkd/launch/replay.launch.py"
    process = start(HERE / "launch_file.py", path, f"bag:={tmp_path / 'none.mcap'}")
    assert process.process.wait(60) == 1
    assert "none.mcap" in process.output and "replay_node ended with exit code" in process.output


def test_a_map_node_that_fails_fails_the_launch(install, start):
    nodes = dict.fromkeys(NODES, "#!/bin/sh\nexec sleep 600\n") | {"map_node": "#!/bin/sh\nexit 3\n"}
    path = install(nodes) / "share/mapkd/launch/map.launch.py"
    process = start(HERE / "launch_file.py", path, "on_end:=shutdown")
    assert process.process.wait(60) == 1
    assert "map_node ended with exit code 3" in process.output


@pytest.mark.parametrize(("on_end", "starts"), [("auto", 1), ("restart", 2)])
def test_a_vehicle_goes_on_without_a_map_node_that_fails(install, start, bench, tmp_path, on_end, starts):
    """The drivers of the launch file that includes ours, started after it, and with a middleware of their own."""
    count, driver = tmp_path / "starts", tmp_path / "driver.txt"
    nodes = dict.fromkeys(NODES, "#!/bin/sh\nexec sleep 600\n")
    nodes["map_node"] = f'#!/bin/sh\necho "$FASTDDS_DEFAULT_PROFILES_FILE" >> {count}\nexit 3\n'
    ours = install(nodes) / "share/mapkd/launch/map.launch.py"
    profile = tmp_path / "ours.xml"
    profile.write_text("<profiles/>")
    vehicle = tmp_path / "vehicle.launch.py"
    vehicle.write_text(
        f"""
from launch import LaunchDescription
from launch.actions import ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource as Source

def generate_launch_description():
    given = {{"on_end": "{on_end}", "dds_profile": "{profile}"}}.items()
    script = "echo [$FASTDDS_DEFAULT_PROFILES_FILE] > {driver}; exec sleep 600"
    return LaunchDescription([
        IncludeLaunchDescription(Source("{ours}"), launch_arguments=given),
        ExecuteProcess(cmd=["sh", "-c", script]),
    ])
"""
    )
    process = start(HERE / "launch_file.py", vehicle)
    told = lambda: count.read_text().splitlines() if count.exists() else []  # noqa: E731
    assert bench.until(lambda: len(told()) >= starts and driver.exists(), 30), process.output
    bench.spin(3.0)
    assert process.process.poll() is None, process.output
    assert (len(told()) == 1) == (starts == 1) and set(told()) == {str(profile)}
    assert driver.read_text().strip() == "[]", "our profile is for our nodes alone"


def test_a_bag_goes_through_to_report_and_record_and_ends_the_launch(install, start, bench, bag, tmp_path):
    stub = {"map_node": f"{HERE}/stub_predictor.py"}
    text = '#!/bin/sh\nexec {} {} "$@"\n'
    nodes = {node: text.format(sys.executable, stub.get(node, f"-m mapkd_ros.{node}")) for node in NODES}
    report, record = tmp_path / "metrics.json", tmp_path / "published"
    path = install(nodes) / "share/mapkd/launch/replay.launch.py"
    # Half the rate: five processes start at once, and no frame may be lost on a slow machine.
    given = (f"bag:={bag}", f"report:={report}", f"record:={record}", "rate:=0.5")
    process = start(HERE / "launch_file.py", path, *given)
    assert bench.until(lambda: process.process.poll() is not None, 120), process.output
    assert process.process.returncode == 0 and "Traceback" not in process.output, process.output
    metrics = json.loads(report.read_text())
    assert (metrics["frames_in"], metrics["frames_out"]) == (24, 24), process.output
    with BagReader(record) as reader:
        assert {topic.name: topic.count for topic in reader.topics}["/map/vector_map"] == 24
