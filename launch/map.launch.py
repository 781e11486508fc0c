# SPDX-License-Identifier: Apache-2.0
"""Live: six cameras -> map -> RViz. `ros2 launch mapkd map.launch.py --show-args` lists the arguments."""

from pathlib import Path

from ament_index_python.packages import get_package_share_path
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node

from mapkd_ros.dds import dds_advice, dds_environment

_BOOL = ["true", "false"]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "mode",
                default_value="live",
                choices=["live", "replay"],
                description="Parameters: config/node/map.yaml, for a replay with replay.yaml on top of it",
            ),
            DeclareLaunchArgument("params_file", default_value="", description="Your own, on top of those"),
            DeclareLaunchArgument("weights", default_value="", description="Checkpoint; empty = the one shipped"),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and topics"),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="",
                choices=["", *_BOOL],
                description="Take the time from /clock; empty = as the parameters say: live no, in a replay yes",
            ),
            DeclareLaunchArgument(
                "markers", default_value="true", choices=_BOOL, description="Start the marker node for RViz"
            ),
            DeclareLaunchArgument(
                "rviz", default_value="false", choices=_BOOL, description="Start RViz with config/rviz/map.rviz"
            ),
            DeclareLaunchArgument(
                "dds_profile",
                default_value="auto",
                description="DDS: none, the path of a profile (XML), or auto = the shipped one, where it fits and the "
                "environment names no other",
            ),
            DeclareLaunchArgument(
                "on_end",
                default_value="auto",
                choices=["auto", "nothing", "restart", "shutdown"],
                description="When map_node ends: nothing, restart it, or shutdown = end all that was launched, by a "
                "file that includes this one, too; auto = live nothing, in a replay shutdown",
            ),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
            OpaqueFunction(function=_start_nodes),
        ]
    )


def _start_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What is empty is left to the parameter files, instead of being overridden with nothing.

    The DDS profile is for our nodes alone: set for the launch it would be for all that a vehicle starts after it.
    """
    chosen, share = context.launch_configurations, get_package_share_path("mapkd")
    # launch itself would only warn and go on without it.
    if chosen["params_file"] and not Path(chosen["params_file"]).is_file():
        raise FileNotFoundError(f"params_file {chosen['params_file']} is not a file")
    layers = ["map.yaml", "replay.yaml"] if chosen["mode"] == "replay" else ["map.yaml"]
    parameters: list = [str(share / "config/node" / layer) for layer in layers]
    parameters += [chosen["params_file"]] if chosen["params_file"] else []
    parameters += [{"use_sim_time": chosen["use_sim_time"] == "true"}] if chosen["use_sim_time"] else []
    weights = [{"model.weights": chosen["weights"]}] if chosen["weights"] else []
    common = {
        "package": "mapkd",
        "namespace": chosen["namespace"],
        "output": "screen",
        "arguments": ["--ros-args", "--log-level", chosen["log_level"]],
        "additional_env": dds_environment(chosen["dds_profile"]),
    }
    nodes = [Node(executable="map_node", parameters=parameters + weights, **_at_the_end(chosen), **common)]
    if chosen["markers"] == "true":
        nodes.append(Node(executable="marker_node", parameters=parameters, **common))
    if chosen["rviz"] == "true":
        view = ["-d", str(share / "config/rviz/map.rviz")]
        nodes.append(
            Node(executable="rviz2", parameters=parameters, **common | {"package": "rviz2", "arguments": view})
        )
    return [*nodes, *([LogInfo(msg=text)] if (text := dds_advice(chosen["dds_profile"])) else [])]


def _at_the_end(chosen: dict[str, str]) -> dict[str, object]:
    """Of the map node: a crash of it must not end a vehicle's drivers, unless that is wanted."""
    wanted = chosen["on_end"]
    if wanted == "auto":
        wanted = "shutdown" if chosen["mode"] == "replay" else "nothing"
    return {"shutdown": {"on_exit": _ended}, "restart": {"respawn": True, "respawn_delay": 2.0}}.get(wanted, {})


def _ended(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Ends everything; launch gives exit code 1 only where an exception is raised."""
    if event.returncode != 0 and not context.is_shutdown:
        raise RuntimeError(f"map_node ended with exit code {event.returncode}; what it said stands above")
    return [Shutdown(reason="map_node has ended")]
