# SPDX-License-Identifier: Apache-2.0
"""A bag through the map node: `ros2 launch mapkd replay.launch.py bag:=drive.mcap rviz:=true report:=metrics.json`."""

from ament_index_python.packages import get_package_share_path
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, IncludeLaunchDescription, RegisterEventHandler, TimerAction
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue


def generate_launch_description() -> LaunchDescription:
    share = get_package_share_path("mapkd")
    replay_yaml = str(share / "config/node/replay.yaml")
    arguments = [
        DeclareLaunchArgument("bag", description="Bag to play: rosbag2 folder, .mcap, .db3 or ROS 1 .bag"),
        DeclareLaunchArgument("calibration", default_value="", description="Calibration file for what the bag lacks"),
        DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the replay"),
        DeclareLaunchArgument("loop", default_value="false", description="Start again at the end of the bag"),
        DeclareLaunchArgument(
            "report", default_value="", description="Evaluate against the bag's truth into this JSON file"
        ),
        DeclareLaunchArgument(
            "record", default_value="", description="Record what the map node publishes into this new bag"
        ),
        DeclareLaunchArgument("extra_params_file", default_value=replay_yaml, description="Parameters of the replay"),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and topics"),
    ]
    files = [ParameterFile(LaunchConfiguration("extra_params_file"))]
    common = {"package": "mapkd", "namespace": LaunchConfiguration("namespace"), "output": "screen"}
    replay = Node(
        executable="replay_node",
        parameters=[
            *files,
            {
                "bag": ParameterValue(LaunchConfiguration("bag"), value_type=str),
                "calibration": ParameterValue(LaunchConfiguration("calibration"), value_type=str),
                "rate": ParameterValue(LaunchConfiguration("rate"), value_type=float),
                "loop": ParameterValue(LaunchConfiguration("loop"), value_type=bool),
            },
        ],
        **common,
    )
    # The last maps are on their way when the bag ends; SIGINT makes evaluation and recording complete their files.
    end = TimerAction(period=2.0, actions=[EmitEvent(event=Shutdown(reason="the bag has ended"))])
    return LaunchDescription(
        [
            *arguments,
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(share / "launch/map.launch.py")),
                launch_arguments={
                    "use_sim_time": "true",
                    "extra_params_file": LaunchConfiguration("extra_params_file"),
                }.items(),
            ),
            Node(
                executable="evaluation_node",
                parameters=[
                    *files,
                    {"report": ParameterValue(LaunchConfiguration("report"), value_type=str), "end_after_idle_s": 0.0},
                ],
                condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("report"), "")),
                **common,
            ),
            Node(
                executable="record_node",
                parameters=[*files, {"bag": ParameterValue(LaunchConfiguration("record"), value_type=str)}],
                condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("record"), "")),
                **common,
            ),
            replay,
            RegisterEventHandler(OnProcessExit(target_action=replay, on_exit=[end])),
        ]
    )
