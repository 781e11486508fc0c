# SPDX-License-Identifier: Apache-2.0
"""Write a rosbag2 bag (MCAP): from a frame folder, or a rendered drive with truth.

DIR is a frame folder (frame.json, six images, LiDAR; docs/formats.md) and gives a bag of that one frame, its JPEGs
untouched. With --world or --roads a drive is rendered: six cameras with CameraInfo, /odom, /tf, /tf_static and the
true map on /truth/vector_map. Any ROS 2 tool plays the result; `mapkd ros replay` plays it through the map node.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

EXAMPLE = "mapkd bag scene0061 scene.mcap\n  mapkd bag --world 300000 drive.mcap --seconds 10 --size 1600x900"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="[DIR] OUT", help="frame folder, and the .mcap to write")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--world", type=int, metavar="SEED", help="render the drive of this procedural world")
    source.add_argument("--roads", type=Path, metavar="MAP", help="render the drive of this road map (*.json.gz)")
    parser.add_argument("--look", type=int, default=seeds.DEMO.start, metavar="SEED", help="look of --roads")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="S", help="length of the drive, at most")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="where to begin in the drive")
    parser.add_argument("--rate", type=float, default=12.0, metavar="HZ", help="frames a second")
    parser.add_argument("--size", default="800x450", metavar="WxH", help="rendered pictures, in pixels")


def run(options: argparse.Namespace) -> Result:
    out = options.paths[-1]
    if out.suffix != ".mcap":
        raise ValueError(f"{out} must end in .mcap")
    if out.exists():
        raise ValueError(f"{out} exists already; remove it or choose another path")
    is_rendered = options.world is not None or options.roads is not None
    if len(options.paths) != (1 if is_rendered else 2):
        raise ValueError(
            f"got {len(options.paths)} paths; write `mapkd bag DIR out.mcap` or `mapkd bag --world SEED out.mcap`"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    frames = _render(options, out) if is_rendered else _convert(options.paths[0], out)
    size = out.stat().st_size
    summary = {"bag": str(out), "frames": frames, "bytes": size}
    return Result(
        summary, f"{out}: {frames} frame{'s' * (frames != 1)}, {size / 1e6:.1f} MB; play it with `mapkd ros replay`"
    )


def _convert(folder: Path, out: Path) -> int:
    from mapkd_core.bags.from_folder import write_frame_folder_bag

    write_frame_folder_bag(folder, out)
    return 1


def _render(options: argparse.Namespace, out: Path) -> int:
    from mapkd_core.bags.from_world import write_world_drive
    from mapkd_core.commands.arguments import size
    from mapkd_core.worlds import procedural, road_map_file

    if options.roads is None:
        road_map, look = procedural.make_road_map(options.world), options.world
    else:
        road_map, look = road_map_file.load(options.roads), options.look
    start_s = float(road_map.ego[0, 0]) + options.start
    return write_world_drive(
        road_map, look, out, options.seconds, options.rate, image_size=size(options.size), start_s=start_s
    )
