# SPDX-License-Identifier: Apache-2.0
"""A bag through the map node: `ros2 launch mapkd replay.launch.py bag:=drive.mcap rviz:=true report:=metrics.json`."""

from ament_index_python.packages import get_package_share_path
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from mapkd_ros.dds import dds_environment

# Evaluation and recording complete their files when they end; launch would kill them after five seconds.
_PATIENCE_S = "120"


def generate_launch_description() -> LaunchDescription:
    share = get_package_share_path("mapkd")
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Bag to play: rosbag2 folder, .mcap, .db3 or ROS 1 .bag"),
            DeclareLaunchArgument(
                "calibration", default_value="", description="Calibration file for what the bag lacks"
            ),
            DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the replay"),
            DeclareLaunchArgument(
                "loop",
                default_value="false",
                choices=["true", "false"],
                description="Start again at the end of the bag",
            ),
            DeclareLaunchArgument(
                "report", default_value="", description="Evaluate against the bag's truth into this JSON file"
            ),
            DeclareLaunchArgument(
                "record", default_value="", description="Record what the map node publishes into this new bag"
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(share / "launch/map.launch.py")),
                launch_arguments={"mode": "replay"}.items(),
            ),
            OpaqueFunction(function=_start_nodes),
        ]
    )


def _start_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    chosen, share = context.launch_configurations, get_package_share_path("mapkd")
    files = [str(share / "config/node/replay.yaml"), *filter(None, [chosen["params_file"]])]
    common = {"package": "mapkd", "namespace": chosen["namespace"], "output": "screen"}
    common["arguments"] = ["--ros-args", "--log-level", chosen["log_level"]]
    common["additional_env"] = dds_environment(chosen["dds_profile"])
    patient = {**common, "sigterm_timeout": _PATIENCE_S, "sigkill_timeout": _PATIENCE_S}
    nodes, awaited = [], ["map_node"]
    if chosen["report"]:
        report = {"report": chosen["report"], "end_after_idle_s": 0.0}
        nodes.append(Node(executable="evaluation_node", parameters=[*files, report], **patient))
        awaited.append("evaluation_node")
    if chosen["record"]:
        record = {"bag": chosen["record"], "end_after_idle_s": 0.0}
        nodes.append(Node(executable="record_node", parameters=[*files, record], **patient))
        awaited.append("record_node")
    bag = {"bag": chosen["bag"], "rate": float(chosen["rate"]), "loop": chosen["loop"] == "true"}
    bag |= {"calibration": chosen["calibration"]} if chosen["calibration"] else {}
    bag["wait_for_nodes"] = awaited
    replay = Node(executable="replay_node", parameters=[*files, bag], **common)
    return [*nodes, RegisterEventHandler(OnProcessExit(target_action=replay, on_exit=_ended)), replay]


def _ended(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Ends everything; launch gives exit code 1 only where an exception is raised."""
    if event.returncode != 0 and not context.is_shutdown:
        raise RuntimeError(f"replay_node ended with exit code {event.returncode}; what it said stands above")
    # The last maps are on their way when the bag ends.
    return [TimerAction(period=2.0, actions=[Shutdown(reason="the bag has ended")])]
