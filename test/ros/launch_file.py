# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch` in few lines, where there is no such command: launch_file.py FILE [NAME:=VALUE]..."""

from __future__ import annotations

import sys


def main() -> int:
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(sys.argv[1])
    arguments = [tuple(argument.split(":=", 1)) for argument in sys.argv[2:]]
    service = LaunchService(argv=sys.argv[2:], noninteractive=True)  # passes SIGINT on to the nodes
    service.include_launch_description(
        LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
    )
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
