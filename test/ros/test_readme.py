# SPDX-License-Identifier: Apache-2.0
"""The README names the parameters and topics that the nodes have."""

from __future__ import annotations

import re
from pathlib import Path

from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.parameters import specifications

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SECTION = README.partition("## Parameters of map_node")[2].partition("## Results")[0]


def test_all_parameters_of_the_map_node_with_their_defaults():
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| .* \|$", SECTION, re.MULTILINE))
    declared = {specification.name: specification.default for specification in specifications(MapParameters)}
    assert set(rows) == set(declared)
    for name, default in declared.items():
        if not isinstance(default, tuple):
            shown = '""' if default == "" else str(default).lower() if isinstance(default, bool) else str(default)
            assert rows[name] == shown, name


def test_the_parameters_that_may_be_set_while_the_node_runs():
    live = {specification.name for specification in specifications(MapParameters) if specification.live}
    groups = {name.partition(".")[0] for name in live} - {"model"}
    assert groups == {"lidar", "memory", "publish", "watch", "sync", "diagnostics"} and {
        n for n in live if n.startswith("model.")
    } == {"model.min_confidence"}
    fixed = {specification.name for specification in specifications(MapParameters)} - live
    assert {n for n in fixed if n.partition(".")[0] in groups} == {"sync.anchor", "diagnostics.period_s"}
    text = " ".join(SECTION.split())
    said = (
        "`lidar.*`, `memory.*`, `publish.*`, `watch.*`, `sync.*` but for the anchor, and `diagnostics.*` but for the "
    )
    said += "period"
    assert f"{said} may be set while" in text


def test_all_topics_that_the_nodes_open():
    opened = set()
    for name in (
        "map_node",
        "map_inputs",
        "map_outputs",
        "map_fusion",
        "side_inputs",
        "marker_node",
        "evaluation_node",
    ):
        source = (ROOT / "mapkd_ros" / f"{name}.py").read_text()
        opened |= set(re.findall(r'(?:create_publisher|create_subscription|hear)\(\w+, "([^"]+)"', source))
    assert len(opened) > 8
    assert [topic for topic in sorted(opened) if f"`{topic}`" not in README] == []
