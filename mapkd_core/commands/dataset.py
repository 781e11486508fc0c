# SPDX-License-Identifier: Apache-2.0
"""Render training or test samples: six cameras at the network's size with their truth.

Worlds are procedural roads by default, or the given road maps, each rendered with another look per seed. World i is
made from seed FIRST_SEED + i, so folders with disjoint seed ranges share no world. Worlds that are already in the
folder are kept: the command can be interrupted and repeated. A world of 24 frames takes about 20 MB.

--benchmark makes the sets of roads-v1 instead: training and validation from seeds that share no world, the test over
the road maps of --maps, all with LiDAR and map priors, and a manifest of hashes. --check verifies such a set, and with
--again N renders N worlds of its procedural splits once more, to see whether they come out bit for bit the same.

--device cuda samples the ground of the pictures on a GPU. Grey levels then differ by rounding from those of cpu, and a
manifest tells which of the two rendered.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

EXAMPLE = """mapkd dataset --out out/data/train --worlds 1000 --frames 24
  mapkd dataset --benchmark small --maps roads/*.json.gz --out out/roads-v1/small"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write into; made where absent"
    )
    parser.add_argument("--worlds", type=int, default=100, metavar="N", help="number of worlds")
    parser.add_argument(
        "--frames", type=int, default=24, metavar="F", help="frames a world, at random times of its drive"
    )
    parser.add_argument(
        "--split", choices=seeds.SPLITS, default="training",
        help="which seeds to use where --first-seed is not given: each split has a range of its own",
    )  # fmt: skip
    parser.add_argument(
        "--first-seed", type=int, metavar="S", help="seed of the first world, instead of the split's first"
    )
    parser.add_argument(
        "--maps", type=Path, nargs="+", default=[], metavar="MAP", help="road maps (*.json.gz) to render instead"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="YAML",
        help="training configuration: the network's image size, layers, and whether it wants LiDAR and priors",
    )
    parser.add_argument("--benchmark", choices=("smoke", "small", "full"), help="make roads-v1 in this size")
    parser.add_argument("--check", action="store_true", help="only verify the manifest of a roads-v1 set in DIR")
    parser.add_argument("--again", type=int, default=0, metavar="N", help="with --check: worlds to render once more")
    parser.add_argument("--workers", type=int, metavar="W", help="processes; one per core where not given")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="cpu",
        help="what samples the ground of the pictures; auto is cuda where there is one",
    )


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.config import TrainConfig, load
    from mapkd_core.data.generate import generate
    from mapkd_core.data.roads_v1 import LIDAR_SWEEPS
    from mapkd_core.data.samples import SampleFolder

    missing = [str(path) for path in options.maps if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"no such road map: {', '.join(missing)}; expected files *.json.gz")
    if options.benchmark or options.check:
        return _roads_v1(options)
    if options.worlds < 1 or options.frames < 1:
        raise ValueError(f"worlds = {options.worlds}, frames = {options.frames}; both must be at least 1")
    first_seed = seeds.SPLITS[options.split].start if options.first_seed is None else options.first_seed
    split = seeds.check(first_seed, options.worlds)
    config = load(TrainConfig, options.config).model
    generate(
        options.out, options.worlds, options.frames, first_seed, config, options.maps, options.workers,
        LIDAR_SWEEPS if set(config.modalities) - {"camera"} else 0, seen=split != "training", device=options.device,
    )  # fmt: skip
    folder = SampleFolder(options.out)
    summary = {
        "out": str(options.out), "worlds": len(folder.names), "frames": len(folder), "split": split,
        "first_seed": first_seed, "maps": [str(path) for path in options.maps],
    }  # fmt: skip
    return Result(
        summary, f"{options.out}: {len(folder)} frames of {len(folder.names)} worlds, {split} seeds from {first_seed}"
    )


def _roads_v1(options: argparse.Namespace) -> Result:
    from mapkd_core.data import roads_v1

    started = time.monotonic()
    if options.check:
        manifest = roads_v1.check(options.out)
    else:
        manifest = roads_v1.build(options.out, options.benchmark, options.maps, options.workers, options.device)
    splits = {
        split: {key: listed[key] for key in ("worlds", "frames", "seeds")}
        for split, listed in manifest["splits"].items()
    }
    summary = {"out": str(options.out), "name": manifest["name"], "size": manifest["size"], "splits": splits}
    text = ", ".join(f"{split} {listed['frames']} frames" for split, listed in splits.items())
    if options.check and options.again > 0:
        summary["same_files"] = same = roads_v1.render_again(options.out, options.again, options.workers)
        text += f"; {same} files rendered once more are the same"
    summary["seconds"] = seconds = round(time.monotonic() - started, 1)
    return Result(summary, f"{options.out}: {manifest['name']} {manifest['size']}, {text}; {seconds:.0f} s")
