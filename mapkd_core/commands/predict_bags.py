# SPDX-License-Identifier: Apache-2.0
"""What `mapkd predict --bags` does: the maps of a fleet's logs, on all cores and over machines."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from mapkd_core.commands.result import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside those of one frame folder."""
    group = parser.add_argument_group("--bags")
    group.add_argument("--frames", type=int, metavar="F", help="at most so many a bag, evenly spread; all if absent")
    group.add_argument("--raster", choices=("npz", "png"), help="also each frame's raster, or a picture of its map")
    group.add_argument("--calibration", type=Path, metavar="FILE", help="for bags that lack it (docs/formats.md)")
    group.add_argument("--whole-pictures", action="store_true", help="decode every pixel, unlike map_node")
    group.add_argument("--workers", type=int, metavar="W", help="processes; one per core where not given")


def run(options: argparse.Namespace) -> Result:
    """Raises RuntimeError at the end where a bag gave no maps; the others are written by then."""
    from tqdm import tqdm

    from mapkd_core.bag_maps import BagMaps, map_bags
    from mapkd_core.evaluation import shards
    from mapkd_core.evaluation.bagged import bag_names
    from mapkd_core.mapper import SHIPPED
    from mapkd_core.training.checkpoint import read_card

    _check(options)
    card, share = read_card(options.weights or SHIPPED), shards.from_environment()
    names = {path: name.strip("/").replace("/", "-") for path, name in bag_names(options.bags).items()}
    mine = {names[path]: path for path in share.of(options.bags)}
    how = BagMaps(
        options.out, options.weights, options.backend, options.vectors, options.min_confidence, options.frames,
        not options.whole_pictures, options.calibration, options.raster or "",
    )  # fmt: skip
    began = time.monotonic()
    workers = shards.workers(options.workers)
    mapped = list(tqdm(map_bags(mine, how, workers), total=len(mine), desc="map", unit="bag", delay=2))
    lost = [f"{bag.name}: {bag.problem}" for bag in mapped if bag.problem]
    if lost:
        raise RuntimeError(
            f"{len(lost)} of {len(mapped)} bags gave no maps, the others are in {options.out}; " + "; ".join(lost)
        )
    summary: dict[str, Any] = {
        "out": str(options.out), "sha256": card["sha256"], "seconds": round(time.monotonic() - began, 1),
        "rank": share.rank, "ranks": share.size, "frames": sum(bag.frames for bag in mapped),
        "frames_without_picture": sum(bag.without_picture for bag in mapped),
        "bags": {
            bag.name: {"frames": bag.frames, "elements": bag.elements, "was_there": not bag.is_new} for bag in mapped
        },
    }  # fmt: skip
    return Result(summary, _text(summary))


def _check(options: argparse.Namespace) -> None:
    if not options.out:
        raise ValueError("--bags needs --out DIR: the folder for the maps, a file a bag")
    if missing := [str(path) for path in options.bags if not path.exists()]:
        raise FileNotFoundError(f"no such bag: {', '.join(missing)}; expected .mcap, .db3, .bag or a rosbag2 folder")
    if len(set(options.bags)) < len(options.bags):
        raise ValueError(f"--bags {' '.join(map(str, options.bags))}: name each bag once")
    if options.frames is not None and options.frames < 1:
        raise ValueError(f"frames = {options.frames}; must be at least 1")
    if options.calibration and not options.calibration.is_file():
        raise FileNotFoundError(f"no calibration file {options.calibration}")


def _text(summary: dict[str, Any]) -> str:
    bags = summary["bags"].values()
    there = sum(bag["was_there"] for bag in bags)
    rank = f"rank {summary['rank']} of {summary['ranks']}: " if summary["ranks"] > 1 else ""
    lines = [
        f"{rank}{len(bags)} bags, {summary['frames']} frames, {sum(bag['elements'] for bag in bags)} polylines in "
        f"{summary['out']}; {len(bags) - there} mapped now in {summary['seconds']:.0f} s, {there} were there"
    ]
    if summary["frames_without_picture"]:
        lines.append(f"{summary['frames_without_picture']} frames without a usable picture are left out")
    return "\n".join(lines)
