# SPDX-License-Identifier: Apache-2.0
"""Start the ROS 2 nodes from their shipped parameters, where `ros2 launch` is not installed.

`map` starts map_node and marker_node until Ctrl-C; `replay --bag BAG` plays a bag through them and can score
(--report) and record (--record). All further arguments are those of the launch; `mapkd ros replay --help` lists
them. ROS is taken from the sourced distribution, or from what `make setup` installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from mapkd_core.commands.result import Result

EXAMPLE = "mapkd ros map\n  mapkd ros replay --bag drive.mcap --report metrics.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("map", "replay"), help="live topics, or a bag")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="arguments of the launch")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.demo.ros_environment import ros_environment

    as_json = "--json" in options.rest
    options.json |= as_json
    rest = [argument for argument in options.rest if argument != "--json"]
    command = [sys.executable, "-m", "mapkd_ros.run", options.what, *rest]
    environment = ros_environment()
    output = sys.stderr if as_json else sys.__stdout__
    process = subprocess.Popen(command, env=environment, stdout=output)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait(30)
    if code:
        raise RuntimeError(f"the nodes ended with exit code {code}; their messages are above")
    return Result({"what": options.what, "exit_code": code}, "")
