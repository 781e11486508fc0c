# SPDX-License-Identifier: Apache-2.0
"""Write a rosbag2 bag (MCAP): from a frame folder, a nuScenes scene, or a rendered drive with truth.

DIR is a frame folder (frame.json, six images, LiDAR; docs/formats.md) and gives a bag of that one frame, its JPEGs
untouched. With --nuscenes a scene of a nuScenes-format dataset is converted: all pictures and LiDAR turns with their
poses, and the true map at key frames where the map expansion is there; interrupted, the same command goes on where it
stopped. With --world or --roads a drive is rendered: six cameras with CameraInfo, /odom, /tf, /tf_static and the true
map on /truth/vector_map; --teacher adds /lidar_top, /prior/sd_map and /prior/hd_map. Any ROS 2 tool plays the result;
`mapkd ros replay` plays it through the map node.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

EXAMPLE = (
    "mapkd bag scene0061 scene.mcap\n"
    "  mapkd bag --nuscenes /data/nuscenes --scene scene-0061 scene.mcap\n"
    "  mapkd bag --world 300000 drive.mcap --seconds 10 --size 1600x900"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "mapkd bag (DIR | --world SEED | --roads MAP | --nuscenes ROOT --scene NAME) [options] OUT"
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="[DIR] OUT",
        help="frame folder (if it is one), and the .mcap to write, side by side",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--world", type=int, metavar="SEED", help="render the drive of this procedural world")
    source.add_argument("--roads", type=Path, metavar="MAP", help="render the drive of this road map (*.json.gz)")
    source.add_argument("--nuscenes", type=Path, metavar="ROOT", help="convert a scene of this nuScenes-format dataset")
    parser.add_argument("--scene", metavar="NAME", help="with --nuscenes: which one, such as scene-0061")
    parser.add_argument("--version", metavar="V", help="with --nuscenes: folder of the tables, where there are several")
    parser.add_argument("--no-truth", action="store_true", help="with --nuscenes: leave the true map out")
    parser.add_argument("--look", type=int, default=seeds.DEMO.start, metavar="SEED", help="look of --roads")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="S", help="length of the drive, at most")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="where to begin in the drive")
    parser.add_argument("--rate", type=float, default=12.0, metavar="HZ", help="frames a second")
    parser.add_argument(
        "--teacher", action="store_true", help="with --world or --roads: LiDAR turns, SD and HD prior, too"
    )
    parser.add_argument("--size", default="800x450", metavar="WxH", help="rendered pictures, in pixels")


def run(options: argparse.Namespace) -> Result:
    out = options.paths[-1]
    if out.suffix != ".mcap":
        raise ValueError(f"{out} must end in .mcap")
    if out.exists():
        raise ValueError(f"{out} exists already; remove it or choose another path")
    is_folder = options.world is None and options.roads is None and options.nuscenes is None
    if len(options.paths) != (2 if is_folder else 1):
        raise ValueError(
            f"got {len(options.paths)} paths; write `mapkd bag DIR out.mcap`, `mapkd bag --world SEED out.mcap` or "
            "`mapkd bag --nuscenes ROOT --scene NAME out.mcap`"
        )
    if options.scene and options.nuscenes is None:
        raise ValueError("--scene needs --nuscenes ROOT, the dataset that has it")
    out.parent.mkdir(parents=True, exist_ok=True)
    if options.nuscenes is not None:
        summary = _scene(options, out)
    else:
        summary = {"frames": _convert(options.paths[0], out) if is_folder else _render(options, out)}
    summary |= {"bag": str(out), "bytes": out.stat().st_size}
    return Result(summary, f"{_text(summary)}; play it with `mapkd ros replay`")


def _text(summary: dict[str, Any]) -> str:
    size = f"{summary['bag']}: {summary['bytes'] / 1e6:.1f} MB"
    if "frames" in summary:
        return f"{size}, {summary['frames']} frame{'s' * (summary['frames'] != 1)}"
    rate = f", {summary['times_real_time']:.1f} times real time" if summary["times_real_time"] else ""
    return f"{size}, {summary['captures']} captures in {summary['drive_s']:.1f} s of driving{rate}"


def _scene(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """times_real_time: seconds of driving over seconds of converting; None where an earlier call had done a part."""
    from mapkd_core.bags.convert import convert
    from mapkd_core.bags.from_nuscenes import nuscenes_recording

    if not options.scene:
        raise ValueError("--nuscenes needs --scene NAME, such as scene-0061")
    recording = nuscenes_recording(options.nuscenes, options.scene, options.version, truth=not options.no_truth)
    started = time.monotonic()
    done = convert(recording, out)
    seconds = time.monotonic() - started
    rate = None if done.kept else round(recording.duration_s / seconds, 2)
    drive_s = round(recording.duration_s, 3)
    return {
        "scene": recording.name, "captures": done.captures, "kept": done.kept, "drive_s": drive_s,
        "times_real_time": rate,
    }  # fmt: skip


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
        road_map, look, out, options.seconds, options.rate, image_size=size(options.size), start_s=start_s,
        for_teachers=options.teacher,
    )  # fmt: skip
