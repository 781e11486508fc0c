# SPDX-License-Identifier: Apache-2.0
"""Score weights on drives they have never seen: IoU and Chamfer AP per class, and IoU by distance.

Frames come from procedural worlds of the test split, from road maps (*.json.gz) that are rendered, from a folder
written by `mapkd dataset`, from recorded bags with truth, or from a nuScenes dataset (real, or written by `mapkd
nuscenes write`). Worlds and bags are shared among all cores, and, started by torchrun, among machines: each rank takes
its share and leaves its sums in FILE.ranks beside --out FILE, which all must see; rank 0 adds them up.

IoU is HDMapNet's (argmax, summed over all frames), AP is MapTR's (Chamfer distance below 0.5, 1.0 and 1.5 m). Classes
that a road map does not label are masked. Of rendered frames IoU is also told by the light of the world, and apart for
ground that a camera sees and ground that is hidden; of all, whether the scores mean what they say (ECE). Scores are
percent in the table, 0..1 in JSON.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands import evaluate_ranks, evaluate_scores, evaluate_source
from mapkd_core.commands.arguments import add_backend, size
from mapkd_core.commands.result import Result
from mapkd_core.commands.scores import short
from mapkd_core.writing import write_json

if TYPE_CHECKING:
    from mapkd_core.evaluation.rendered import Predicting

EXAMPLE = """mapkd evaluate --procedural 20 --frames 20 --vectors both --out report.json
  mapkd evaluate --bags monday.mcap tuesday.mcap --out report.json
  torchrun --nnodes 2 ... -m mapkd_core.cli evaluate --bags *.mcap --out /shared/report.json"""
VECTORS = {"query": ("query",), "raster": ("raster",), "both": ("query", "raster")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    evaluate_source.add_arguments(parser)
    parser.add_argument(
        "--frames",
        type=int,
        metavar="F",
        help="frames a world, evenly over its drive (20), a bag, a scene, of DIR (all)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="NAME.safetensors with NAME.json; the shipped ones if absent"
    )
    parser.add_argument(
        "--vectors", choices=VECTORS, default="both", help="where polylines come from: query head, raster head"
    )
    parser.add_argument(
        "--min-confidence", type=float, default=0.0, metavar="C", help="polylines below it are left out, 0..1"
    )
    add_backend(parser)
    parser.add_argument(
        "--size", default="network", metavar="WxH",
        help="pictures rendered, in pixels, e.g. 1600x900; network: what the network takes, which is 10 times faster",
    )  # fmt: skip
    parser.add_argument(
        "--varied-rig", action="store_true", help="another mounting and focal length per world, as in training"
    )
    parser.add_argument(
        "--without", nargs="+", default=[], choices=("lidar", "sd", "hd"), metavar="INPUT",
        help="with --data: what a teacher does not get, of lidar, sd, hd",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="W", help="processes; one per core where not given")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the whole report as JSON")
    parser.add_argument(
        "--per-frame", action="store_true", help="with --out: scores of each frame and precision-recall curves, too"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="with --out: the ten worst frames as pictures, for `mapkd report`"
    )
    parser.add_argument(
        "--maps", type=Path, metavar="DIR", help="write truth and polylines as JSON, for `mapkd score` by any protocol"
    )


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.commands.evaluate_maps import KeptMaps
    from mapkd_core.evaluation.frame_scores import FrameScores
    from mapkd_core.evaluation.map_calibration import diagrams
    from mapkd_core.mapper import SHIPPED
    from mapkd_core.training.checkpoint import read_card

    card = read_card(options.weights or SHIPPED)
    how = _how(options)
    started = time.monotonic()
    share = evaluate_ranks.share_of(options)
    frames, source, count = evaluate_source.frames(options, how, share)
    each = FrameScores() if options.per_frame or options.pictures else None
    if options.maps and share.size > 1:
        raise ValueError("--maps is written by one process: unset WORLD_SIZE")
    kept = KeptMaps()
    frames = kept.passing(frames) if options.maps else frames
    overall, by_world = evaluate_scores.score(frames, count, how.vectors[0], each)
    worlds = {name: short(evaluator.report()) for name, evaluator in by_world.items()}
    if share.size > 1:
        asked = evaluate_source.question(options, source, card["sha256"], share)
        found = evaluate_ranks.gathered(share, options, asked, overall, worlds)
        if isinstance(found, Result):
            return found
        overall, worlds = found
    if not overall:
        raise ValueError("nothing to evaluate: no frame came")
    reports = {vectors: evaluator.report() for vectors, evaluator in overall.items()}
    detail = {
        "source": source, "weights": str(options.weights or SHIPPED), "sha256": card["sha256"], "size": options.size,
        "first_seed": options.first_seed, "varied_rig": options.varied_rig,
        "without": options.without, "seconds": round(time.monotonic() - started, 1),
        "vectors": {vectors: report.as_dict() for vectors, report in reports.items()},
        "worlds": worlds,
    }  # fmt: skip
    detail["reliability"] = {vectors: diagrams(evaluator.reliability()) for vectors, evaluator in overall.items()}
    if each:
        detail |= evaluate_scores.each_frame(each, overall, options)
    if options.out:
        write_json(options.out, detail)
    summary = {key: detail[key] for key in ("source", "sha256", "size", "seconds")}
    summary |= {"frames": next(iter(reports.values())).frames, "vectors": {v: short(r) for v, r in reports.items()}}
    summary |= {"out": str(options.out)} if options.out else {}
    summary |= {"maps": [str(path) for path in kept.write(options.maps)]} if options.maps else {}
    texts = (f"{source}, polylines of the {vectors} head\n{report.markdown()}" for vectors, report in reports.items())
    return Result(summary, "\n\n".join(texts))


def _how(options: argparse.Namespace) -> Predicting:
    """Raises ValueError for options that contradict each other or are out of range."""
    from mapkd_core.evaluation.rendered import Predicting

    if options.frames is not None and options.frames < 1:
        raise ValueError(f"frames = {options.frames}; must be at least 1")
    if not 0 <= options.min_confidence <= 1:
        raise ValueError(f"min-confidence = {options.min_confidence}; must be 0 to 1")
    if (options.per_frame or options.pictures) and not options.out:
        raise ValueError("--per-frame and --pictures go into the JSON file of --out FILE: name one")
    if options.without and not options.data:
        raise ValueError(
            "--without is of recorded samples, which hold what a teacher gets: name their folder, --data DIR"
        )
    rendered = None if options.size == "network" else size(options.size)
    return Predicting(
        options.weights, VECTORS[options.vectors], options.min_confidence, options.backend, rendered,
        options.varied_rig, options.pictures is not None, tuple(options.without),
    )  # fmt: skip
