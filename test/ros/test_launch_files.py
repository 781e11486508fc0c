# SPDX-License-Identifier: Apache-2.0
"""Launch files, YAML, RViz and DDS settings: they parse, and they name only what exists. `test_launch` runs them."""

from __future__ import annotations

import ast
import importlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from mapkd_ros.parameters import specifications, unknown_names, validated

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
PARAMETERS = {
    "map_node": ("mapkd_ros.map_parameters", "MapParameters"),
    "replay_node": ("mapkd_ros.replay_node", "ReplayParameters"),
    "marker_node": ("mapkd_ros.marker_node", "MarkerParameters"),
    "evaluation_node": ("mapkd_ros.evaluation_node", "EvaluationParameters"),
    "record_node": ("mapkd_ros.record_node", "RecordParameters"),
}


def parameter_class(node: str) -> type:
    module, name = PARAMETERS[node]
    return getattr(importlib.import_module(module), name)


def flat(values: dict, prefix: str = "") -> dict:
    result = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return result


@pytest.mark.parametrize("path", sorted((ROOT / "config/node").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_parameters_are_declared_and_valid(path):
    for key, content in yaml.safe_load(path.read_text()).items():
        values = flat(content["ros__parameters"])
        node = key.removeprefix("/**").lstrip("/")
        if not node:
            assert set(values) <= {"use_sim_time"}
            continue
        kind = parameter_class(node)
        assert unknown_names(kind, list(values)) == {}
        validated(kind, values)


@pytest.mark.parametrize("node", PARAMETERS)
def test_every_parameter_has_a_description_and_a_valid_default(node):
    kind = parameter_class(node)
    assert all(len(spec.description) > 10 for spec in specifications(kind))
    validated(kind, {})


def test_every_node_is_an_executable_of_the_package():
    text = (ROOT / "mapkd_ros/setup.cfg").read_text()
    for node in PARAMETERS:
        assert f"{node} = mapkd_ros.{node}:main" in text


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_files_compile_and_describe_their_arguments(path):
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    declared = [c for c in calls if getattr(c.func, "id", "") == "DeclareLaunchArgument"]
    assert declared and all(any(k.arg == "description" for k in call.keywords) for call in declared)
    executables = {
        k.value.value for c in calls if getattr(c.func, "id", "") == "Node" for k in c.keywords if k.arg == "executable"
    }
    assert executables and executables - {"rviz2"} <= set(PARAMETERS)


def test_rviz_shows_topics_that_nodes_publish():
    content = yaml.safe_load((ROOT / "config/rviz/map.rviz").read_text())
    topics = {d["Topic"]["Value"] for d in content["Visualization Manager"]["Displays"] if "Topic" in d}
    source = "".join(path.read_text() for path in (ROOT / "mapkd_ros").glob("*.py"))
    own = {topic for topic in topics if topic.startswith("map/")}
    assert {"map/markers", "map/colour_image"} <= own
    for topic in own - {"map/markers"}:
        assert topic in source or topic.rsplit("/", 1)[0] + "/{layer}" in source


def test_the_dds_profile_has_room_for_a_raw_image():
    root = ElementTree.parse(ROOT / "config/dds/fastdds_shared_memory.xml").getroot()
    sizes = [int(e.text) for e in root.iter() if e.tag.endswith("segment_size")]
    assert sizes == [134217728] and sizes[0] > 6 * 1600 * 900 * 3
