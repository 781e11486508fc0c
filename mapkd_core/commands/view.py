# SPDX-License-Identifier: Apache-2.0
"""Look at samples of any source, or at the frames that weights get most wrong.

SOURCE is a folder written by `mapkd dataset`, a frame folder, a bag, or a dataset in nuScenes' format. OUT gets one PNG
a frame: the six images with the true lines on them, and from above the truth over the LiDAR's points and over maps from
before the drive: those of the source, or of --sd and --hd. With --weights all of --among frames are predicted, and
those with the lowest mIoU are drawn, worst first: prediction on the images and beside the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands.output import write_picture
from mapkd_core.commands.result import Result

if TYPE_CHECKING:
    from mapkd_core.commands.view_source import Shown, Source
    from mapkd_core.mapper import Mapper

_EXTRACTS = (".geojson", ".osm")
EXAMPLE = (
    "mapkd view out/data/train out/view\n"
    "  mapkd view out/data/validation out/worst --weights student.safetensors\n"
    "  mapkd view /data/nuscenes out/view --scene scene-0061 --sd singapore.osm"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="samples, frame folder, bag or nuScenes root")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the pictures; made where absent")
    parser.add_argument("--frames", type=int, default=8, metavar="F", help="pictures to draw")
    parser.add_argument("--scene", metavar="NAME", help="of a nuScenes root: this scene; all if absent")
    parser.add_argument("--version", metavar="V", help="of a nuScenes root: folder of its tables, where several")
    parser.add_argument(
        "--sd", type=Path, metavar="FILE",
        help="navigation map: lines of each frame (a file of maps, docs/metrics.md); for a nuScenes root also an "
        "extract of OpenStreetMap, *.geojson or *.osm",
    )  # fmt: skip
    parser.add_argument("--hd", type=Path, metavar="FILE", help="older HD map: lines of each frame (a file of maps)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="predict with these, and draw the worst frames")
    parser.add_argument(
        "--among", type=int, default=100, metavar="N", help="with --weights: frames to predict, evenly spread"
    )


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.commands.view_source import open_source

    if options.frames < 1 or options.among < 1:
        raise ValueError(f"frames = {options.frames}, among = {options.among}; both must be at least 1")
    is_extract = options.sd is not None and options.sd.suffix in _EXTRACTS
    source = open_source(options.source, options.scene, options.version, options.sd if is_extract else None)
    mapper = _mapper(options.weights) if options.weights else None
    scores: dict[int, float] = {}
    if mapper is not None:
        scores = _worst(source, mapper, options.among, options.frames)
    chosen = sorted(scores) if mapper else _spread(len(source), options.frames)
    rank = {i: place for place, i in enumerate(scores or chosen)}
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for i, shown in zip(chosen, source.shown(chosen)):
        path = options.out / f"{rank[i]:03d}-{shown.token}.png"
        _draw(shown, mapper, path, options, scores.get(i))
        pictures.append({"picture": str(path), "world": shown.world, "frame": shown.number, "miou": scores.get(i)})
    pictures.sort(key=lambda picture: str(picture["picture"]))
    return Result({"out": str(options.out), "pictures": pictures}, f"{len(pictures)} pictures in {options.out}")


def _mapper(weights: Path) -> Mapper:
    from mapkd_core.mapper import Mapper

    return Mapper(weights)


def _spread(length: int, count: int) -> list[int]:
    """At most `count` of `length` indices, evenly."""
    count = min(count, length)
    return sorted({round((i + 0.5) * length / count - 0.5) for i in range(count)})


def _worst(source: Source, mapper: Mapper, among: int, count: int) -> dict[int, float]:
    """Number -> mIoU of the `count` worst frames that have truth, lowest first."""
    from tqdm import tqdm

    from mapkd_core.evaluation.evaluate import evaluate
    from mapkd_core.evaluation.rendered import clip_all

    numbers = _spread(len(source), among)
    found = {}
    for i, shown in zip(numbers, tqdm(source.shown(numbers), "predict", len(numbers), unit="frame", delay=2)):
        truth = clip_all(shown.truth or (), mapper.grid)
        if truth:
            pair = (mapper.predict(shown.frame), truth, shown.labelled)
            found[i] = round(evaluate([pair], classes=mapper.classes).miou, 4)
    if not found:
        raise ValueError("none of the frames has truth, so none can be called the worst; leave --weights out")
    return dict(sorted(found.items(), key=lambda item: item[1])[:count])


def _draw(shown: Shown, mapper: Mapper | None, path: Path, options: argparse.Namespace, miou: float | None) -> None:
    from mapkd_core.commands.view_source import read_priors
    from mapkd_core.drawing import Under, contact_sheet
    from mapkd_core.evaluation.rendered import clip_all
    from mapkd_core.grid import BevGrid
    from mapkd_core.types import LocalMap

    grid = BevGrid() if mapper is None else mapper.grid
    files = {name: getattr(options, name) for name in ("sd", "hd")}
    files = {name: file for name, file in files.items() if file and file.suffix not in _EXTRACTS}
    priors = shown.priors | {name: read_priors(file, shown.token) for name, file in files.items()}
    under = Under(shown.frame.points, priors)
    truth = None if shown.truth is None else clip_all(shown.truth, grid)
    if mapper is None:
        title = "no truth" if truth is None else "truth"
        known = LocalMap(grid, truth or ())
        ground = shown.relief.height
        sheet = contact_sheet(shown.frame, known, caption=shown.token, title=title, under=under, z_m=ground)
    else:
        caption = shown.token if miou is None else f"{shown.token}: mIoU {100 * miou:.1f}"
        sheet = contact_sheet(shown.frame, mapper.predict(shown.frame), truth, caption=caption, under=under)
    write_picture(path, sheet)
