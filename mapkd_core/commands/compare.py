# SPDX-License-Identifier: Apache-2.0
"""Compare made worlds with real data, by numbers and by pictures.

`lidar`: a real sweep (frame folder) beside rendered ones at the same pose of the same road map: points per ring,
by distance and by height, ground, intensity. `cameras`: the six real images above rendered ones. `sd`: how far the
navigation lines of real road maps lie from their real roads, and the same of procedural worlds with made error.
OUT gets pictures and a JSON of summary statistics. Pictures hold real data: their licence is that data's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mapkd_core.commands.result import Result
from mapkd_core.writing import write_json

EXAMPLE = """mapkd compare lidar --frame scene0061 --roads roads/scene-0061.json.gz --out out/realism
  mapkd compare sd --roads roads/*.json.gz --out out/realism"""
_KINDS = ("lidar", "cameras", "sd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=_KINDS, help="what to compare")
    parser.add_argument("--frame", type=Path, metavar="DIR", help="lidar, cameras: the real frame folder")
    parser.add_argument(
        "--roads",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="road maps; of the frame's place, or of all",
    )
    parser.add_argument("--looks", type=int, default=8, metavar="N", help="lidar, cameras: how many rendered looks")
    parser.add_argument("--worlds", type=int, default=20, metavar="N", help="sd: how many procedural worlds")
    parser.add_argument(
        "--out", type=Path, default=Path("out/realism"), metavar="OUT", help="folder; made where absent"
    )


def run(options: argparse.Namespace) -> Result:
    if options.what != "sd" and (options.frame is None or len(options.roads) != 1):
        raise ValueError(f"compare {options.what} needs --frame DIR and one road map with --roads")
    options.out.mkdir(parents=True, exist_ok=True)
    summary, text = {"lidar": _lidar, "cameras": _cameras, "sd": _sd}[options.what](options)
    write_json(options.out / f"{options.what}.json", summary)
    return Result(summary, text)


def _lidar(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.realism import lidar_comparison, twin

    return lidar_comparison.compare(twin.read_twin(options.frame, options.roads[0]), options.looks, options.out)


def _cameras(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.realism import camera_comparison, twin

    return camera_comparison.compare(twin.read_twin(options.frame, options.roads[0]), options.looks, options.out)


def _sd(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.realism import sd_comparison

    return sd_comparison.compare(options.roads, options.worlds)
