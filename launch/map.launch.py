# SPDX-License-Identifier: Apache-2.0
"""Live: six cameras -> map -> RViz. `ros2 launch mapkd map.launch.py --show-args` lists the arguments."""

from ament_index_python.packages import get_package_share_path
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue


def generate_launch_description() -> LaunchDescription:
    share = get_package_share_path("mapkd")
    arguments = [
        DeclareLaunchArgument(
            "params_file", default_value=str(share / "config/node/map.yaml"), description="Parameters of all nodes"
        ),
        DeclareLaunchArgument(
            "extra_params_file",
            default_value=str(share / "config/node/map.yaml"),
            description="Parameters that go before those of params_file",
        ),
        DeclareLaunchArgument(
            "weights", default_value="", description="Checkpoint; empty = the one shipped with mapkd"
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and topics"),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock"),
        DeclareLaunchArgument("markers", default_value="true", description="Start the marker node for RViz"),
        DeclareLaunchArgument("rviz", default_value="false", description="Start RViz with config/rviz/map.rviz"),
        DeclareLaunchArgument(
            "dds_profile",
            default_value=str(share / "config/dds/fastdds_shared_memory.xml"),
            description="Fast DDS profile (XML); none = the middleware's own defaults",
        ),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
    ]
    namespace, use_sim_time = LaunchConfiguration("namespace"), LaunchConfiguration("use_sim_time")
    parameters = [
        ParameterFile(LaunchConfiguration("params_file")),
        ParameterFile(LaunchConfiguration("extra_params_file")),
        {"use_sim_time": ParameterValue(use_sim_time, value_type=bool)},
    ]
    weights = {"model.weights": ParameterValue(LaunchConfiguration("weights"), value_type=str)}
    common = {
        "package": "mapkd",
        "namespace": namespace,
        "output": "screen",
        "arguments": ["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    }
    has_profile = IfCondition(NotEqualsSubstitution(LaunchConfiguration("dds_profile"), "none"))
    profile = LaunchConfiguration("dds_profile")
    return LaunchDescription(
        [
            *arguments,
            # Humble and Jazzy read the old name, newer distributions the new one.
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile, condition=has_profile),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile, condition=has_profile),
            Node(executable="map_node", parameters=[*parameters, weights], **common),
            Node(
                executable="marker_node",
                parameters=parameters,
                condition=IfCondition(LaunchConfiguration("markers")),
                **common,
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=namespace,
                arguments=["-d", str(share / "config/rviz/map.rviz")],
                parameters=[{"use_sim_time": ParameterValue(use_sim_time, value_type=bool)}],
                condition=IfCondition(EqualsSubstitution(LaunchConfiguration("rviz"), "true")),
            ),
        ]
    )
