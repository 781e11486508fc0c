# SPDX-License-Identifier: Apache-2.0
"""Draw what the six cameras see along the drive of a road map, with the true map on it.

MAP is a road map (*.json.gz, docs/formats.md) or the seed of a procedural world. OUT gets one PNG a moment: six
images with the true lines projected into them (or plain with --plain), and the map from above.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.commands.output import write_picture
from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

EXAMPLE = "mapkd render roads/scene-0061.json.gz out/roads --frames 5\n  mapkd render 300000 out/world"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("map", metavar="MAP", help="road map file, or the seed of a procedural world")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the pictures; made where absent")
    parser.add_argument("--frames", type=int, default=4, metavar="F", help="moments, evenly over the drive")
    parser.add_argument(
        "--look", type=int, default=seeds.DEMO.start, metavar="SEED", help="paint, light and weather of MAP"
    )
    parser.add_argument("--size", default="800x450", metavar="WxH", help="camera pictures, in pixels")
    parser.add_argument("--plain", action="store_true", help="without the true lines on the images")


def run(options: argparse.Namespace) -> Result:
    from tqdm import tqdm

    from mapkd_core.commands.arguments import size
    from mapkd_core.drawing import contact_sheet
    from mapkd_core.grid import BevGrid
    from mapkd_core.types import LocalMap
    from mapkd_core.worlds import drive, procedural, rig, road_map_file
    from mapkd_core.worlds.render import Renderer
    from mapkd_core.worlds.truth import local_elements

    if options.frames < 1:
        raise ValueError(f"frames = {options.frames}; must be at least 1")
    is_seed = options.map.isdigit()
    road_map = procedural.make_road_map(int(options.map)) if is_seed else road_map_file.load(options.map)
    cameras, grid = rig.scaled(rig.nuscenes_rig(), *size(options.size)), BevGrid()
    options.out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(road_map, int(options.map) if is_seed else options.look)
    pictures = []
    for i in tqdm(range(options.frames), desc="render", unit="picture", delay=2):
        time_s = float(road_map.ego[0, 0]) + (i + 0.5) / options.frames * drive.duration(road_map)
        pose = drive.pose_at(road_map, time_s)
        truth, ground = local_elements(road_map, pose, grid), renderer.relief.seen_from(pose)
        on_images = LocalMap(grid, () if options.plain else truth)
        beside = truth if options.plain else None
        caption = f"{road_map.name} {time_s:.1f} s"
        sheet = contact_sheet(
            renderer.true_frame(time_s, cameras), on_images, beside, caption=caption,
            title="" if options.plain else "truth", z_m=ground.height,
        )  # fmt: skip
        pictures.append(options.out / f"{road_map.name}-{i:03d}.png")
        write_picture(pictures[-1], sheet)
    summary = {"map": road_map.name, "drive_s": drive.duration(road_map), "pictures": [str(path) for path in pictures]}
    return Result(summary, f"{road_map.name}: {len(pictures)} pictures in {options.out}")
