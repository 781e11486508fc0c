# SPDX-License-Identifier: Apache-2.0
"""Where `mapkd evaluate` takes its frames from, and how several machines share them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.data import seeds

if TYPE_CHECKING:
    from mapkd_core.evaluation.rendered import Predicted, Predicting, World
    from mapkd_core.evaluation.shards import Share

Found = tuple[Iterable[Sequence["Predicted"]], str, "int | None"]  # frames by world, source in words, worlds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One of the sources, and what belongs to one of them."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--roads", type=Path, nargs="+", metavar="MAP", help="road maps to render")
    source.add_argument("--procedural", type=int, metavar="N", help="number of procedural worlds")
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of samples with truth")
    source.add_argument("--nuscenes", type=Path, metavar="ROOT", help="dataset in nuScenes' format")
    source.add_argument("--bags", type=Path, nargs="+", metavar="BAG", help="recorded drives with truth")
    parser.add_argument(
        "--version", metavar="V", help="ROOT's folder of tables, e.g. v1.0-mini; the only one if absent"
    )
    parser.add_argument("--split", metavar="NAME", help="scenes of ROOT: val, mini_val, mapkd_test, ...; all if absent")
    parser.add_argument("--splits", type=Path, metavar="FILE", help="streammapnet, or a file with splits of ROOT")
    parser.add_argument(
        "--rules", choices=("ours", "hdmapnet", "pmapnet", "maptr", "streammapnet"), default="ours",
        help="whose rules make the truth of ROOT",
    )  # fmt: skip
    parser.add_argument(
        "--first-seed", type=int, default=seeds.TEST.start, metavar="S", help="seed of the first world or look"
    )
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="for --bags that lack it (docs/formats.md)")
    parser.add_argument(
        "--whole-pictures", action="store_true",
        help="--bags, --nuscenes: decode every pixel; otherwise, as in map_node, no more than the network needs",
    )  # fmt: skip


def frames(options: argparse.Namespace, how: Predicting, share: Share) -> Found:
    """The frames of this rank's share, world by world, what they are in words, and how many worlds they come from."""
    from mapkd_core.evaluation import rendered, shards

    if options.data:
        if share.size > 1:
            raise ValueError("--data is evaluated by one process: unset WORLD_SIZE, or give --bags or --nuscenes")
        return rendered.predict_samples(options.data, how, options.frames), str(options.data), None
    if options.nuscenes:
        return _recorded(options, how, share)
    count = shards.workers(options.workers)
    if options.bags:
        return _bags(options, how, share, count)
    worlds, source = _worlds(options)
    mine = share.of(worlds)
    found = rendered.predict_worlds(mine, options.frames or 20, how, count) if mine else ()
    return found, source, len(mine)


def question(options: argparse.Namespace, source: str, sha256: str, share: Share) -> dict[str, Any]:
    """What decides the scores, so that ranks only add up answers to the same one."""
    names = (
        "roads", "procedural", "nuscenes", "bags", "version", "split", "splits", "rules", "first_seed", "frames",
        "vectors", "min_confidence", "backend", "size", "varied_rig", "calibration", "whole_pictures",
    )  # fmt: skip
    values = {name: getattr(options, name) for name in names}
    plain = {name: str(v) if not isinstance(v, list) else [str(item) for item in v] for name, v in values.items()}
    return plain | {"source": source, "sha256": sha256, "ranks": share.size}


def _bags(options: argparse.Namespace, how: Predicting, share: Share, workers: int) -> Found:
    from mapkd_core.evaluation.bagged import Bags, predict_bags

    if missing := [str(path) for path in options.bags if not path.exists()]:
        raise FileNotFoundError(f"no such bag: {', '.join(missing)}; expected .mcap, .db3, .bag or a rosbag2 folder")
    if len(set(options.bags)) < len(options.bags):
        raise ValueError(f"--bags {' '.join(map(str, options.bags))}: name each bag once")
    mine = share.of(options.bags)
    bags = Bags(options.frames, not options.whole_pictures, options.calibration)
    return predict_bags(mine, bags, how, workers), f"{len(options.bags)} bags", len(mine)


def _recorded(options: argparse.Namespace, how: Predicting, share: Share) -> Found:
    from mapkd_core.evaluation.recorded import Recorded, predict_nuscenes

    if options.splits and not options.split:
        raise ValueError(f"--splits {options.splits} needs --split NAME")
    recorded = Recorded(
        options.nuscenes, options.version, options.split, options.splits, options.rules, options.frames,
        not options.whole_pictures,
    )  # fmt: skip
    found, count = predict_nuscenes(recorded, how, share)
    return found, f"{options.nuscenes} {options.split or 'all scenes'} (truth by {options.rules})", count


def _worlds(options: argparse.Namespace) -> tuple[list[World], str]:
    from mapkd_core.evaluation.rendered import World

    if options.roads:
        missing = [str(path) for path in options.roads if not path.is_file()]
        if missing:
            raise FileNotFoundError(f"no such road map: {', '.join(missing)}; expected files *.json.gz")
        worlds = [World(options.first_seed + i, path) for i, path in enumerate(options.roads)]
        return worlds, f"{len(worlds)} road maps"
    if options.procedural < 1:
        raise ValueError(f"procedural = {options.procedural}; must be at least 1")
    split = seeds.check(options.first_seed, options.procedural)
    worlds = [World(options.first_seed + i) for i in range(options.procedural)]
    return worlds, f"{options.procedural} procedural worlds ({split})"
