# SPDX-License-Identifier: Apache-2.0
"""Starts the nodes of launch/*.launch.py from the same YAML, where `launch` is not installed.

python -m mapkd_ros.run map                             # map_node and marker_node, until Ctrl-C
python -m mapkd_ros.run replay --bag drive.mcap         # a bag through them, measured; ends with the bag
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from mapkd_ros.dds import dds_advice, dds_environment
from mapkd_ros.processes import NodeGroup, NodeProcess
from mapkd_ros.share import share


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 1 when a node failed, 2 for wrong arguments, 3 without ROS."""
    options = _parser().parse_args(arguments)
    if importlib.util.find_spec("rclpy") is None or importlib.util.find_spec("mapkd") is None:
        print(
            "no ROS 2 here: source your distribution and workspace, or .ros/setup.bash of this checkout",
            file=sys.stderr,
        )
        return 3
    try:
        nodes = _map_nodes(options) if options.what == "map" else _replay_nodes(options)
        environment = dds_environment(options.dds_profile)
        if advice := dds_advice(options.dds_profile):
            print(advice, file=sys.stderr)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.logs is not None:
        options.logs.mkdir(parents=True, exist_ok=True)
    # The nodes are in sessions of their own: without this, `kill` or a closed terminal would leave them behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with NodeGroup(nodes, environment=environment, logs=options.logs, log_level=options.log_level) as group:
            return _follow(group, options)
    except KeyboardInterrupt:
        return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _follow(group: NodeGroup, options: argparse.Namespace) -> int:
    if options.what == "map":
        return int(any(group.wait().values()))
    codes = group.wait("replay_node")
    # What is on its way through the network still counts.
    if not any(codes.values()):
        time.sleep(options.settle)
    codes |= group.stop("evaluation_node", "record_node")
    codes |= group.stop("map_node", "marker_node")
    return int(any(codes.values()))


def _map_nodes(options: argparse.Namespace) -> list[NodeProcess]:
    files = [share("config/node/map.yaml"), *options.params]
    nodes = [NodeProcess("map_node", files, _chosen(options, "map_node"))]
    if not options.no_markers:
        nodes.append(NodeProcess("marker_node", files, _chosen(options, "marker_node")))
    return nodes


def _replay_nodes(options: argparse.Namespace) -> list[NodeProcess]:
    if not options.bag.exists():
        raise FileNotFoundError(f"no bag at {options.bag}")
    options.params = [share("config/node/replay.yaml"), *options.params]
    nodes, files = _map_nodes(options), list(options.params)
    replay: dict[str, Any] = {"bag": str(options.bag.resolve()), "rate": float(options.rate)}
    if options.calibration is not None:
        replay["calibration"] = str(options.calibration.resolve())
    # The end of the bag ends the others: no idle limit of their own.
    ending = {"end_after_idle_s": 0.0}
    if options.report is not None:
        report = {"report": str(options.report.resolve()), **ending}
        nodes.append(NodeProcess("evaluation_node", files, {**report, **_chosen(options, "evaluation_node")}))
    if options.record is not None:
        record = {"bag": str(options.record.resolve()), **ending}
        nodes.append(NodeProcess("record_node", files, {**record, **_chosen(options, "record_node")}))
    replay["wait_for_nodes"] = [node.module for node in nodes if node.module != "marker_node"]
    return [*nodes, NodeProcess("replay_node", files, {**replay, **_chosen(options, "replay_node")})]


def _chosen(options: argparse.Namespace, module: str) -> dict[str, Any]:
    """Parameters of `--set NODE:NAME=VALUE` for this node; values are YAML."""
    chosen = {}
    for text in options.set:
        name, separator, value = text.partition("=")
        node, _, parameter = name.partition(":")
        if not separator or not parameter:
            raise ValueError(f"--set {text}: write NODE:NAME=VALUE, for example map_node:sync.wait_s=0.2")
        if node == module:
            chosen[parameter] = yaml.safe_load(value)
    return chosen


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument
    add("--params", type=Path, action="append", default=[], metavar="FILE", help="parameter YAML after the shipped one")
    add("--set", action="append", default=[], metavar="NODE:NAME=VALUE", help="one parameter of one node")
    add("--dds-profile", default="auto", help="auto, none, shared_memory, or the path of a profile")
    add("--no-markers", action="store_true", help="without marker_node (RViz)")
    add("--logs", type=Path, metavar="DIR", help="write each node's output to a file there, not to the terminal")
    add("--log-level", default="info", choices=("debug", "info", "warn", "error"))
    parser = argparse.ArgumentParser(prog="python -m mapkd_ros.run", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("map", parents=[shared], help="map_node and marker_node, until Ctrl-C")
    replay = commands.add_parser("replay", parents=[shared], help="a bag through them; ends with the bag")
    replay.add_argument("--bag", type=Path, required=True, help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    replay.add_argument("--calibration", type=Path, help="calibration file for what the bag lacks")
    replay.add_argument("--rate", type=float, default=1.0, help="speed of the replay (1.0)")
    replay.add_argument("--report", type=Path, help="evaluate against the truth of the bag into this JSON file")
    replay.add_argument("--record", type=Path, help="record what the map node publishes into this new bag")
    replay.add_argument("--settle", type=float, default=1.0, help="wait for the last maps after the bag [s]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
