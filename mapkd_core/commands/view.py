# SPDX-License-Identifier: Apache-2.0
"""Look at training samples, or at the frames that weights get most wrong.

DIR is a folder written by `mapkd dataset`. OUT gets one PNG a frame: the six images with the true lines on them and
the truth from above. With --weights all of --among frames are predicted, and those with the lowest mIoU are drawn,
worst first: prediction on the images and beside the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.commands.result import Result

if TYPE_CHECKING:
    from mapkd_core.data.samples import SampleFolder
    from mapkd_core.mapper import Mapper

EXAMPLE = "mapkd view out/data/train out/view\n  mapkd view out/data/validation out/worst --weights student.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of samples")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the pictures; made where absent")
    parser.add_argument("--frames", type=int, default=8, metavar="F", help="pictures to draw")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="predict with these, and draw the worst frames")
    parser.add_argument(
        "--among", type=int, default=100, metavar="N", help="with --weights: frames to predict, evenly spread"
    )


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.data.samples import SampleFolder
    from mapkd_core.mapper import Mapper

    if options.frames < 1 or options.among < 1:
        raise ValueError(f"frames = {options.frames}, among = {options.among}; both must be at least 1")
    samples = SampleFolder(options.folder)
    mapper = Mapper(options.weights) if options.weights else None
    chosen = [(i, None) for i in _spread(len(samples), options.frames)]
    if mapper is not None:
        chosen = _worst(samples, mapper, options.among)[: options.frames]
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for rank, (i, miou) in enumerate(chosen):
        world, frame = samples.index[i]
        name = f"{samples.names[world]}-{frame}"
        path = options.out / f"{rank:03d}-{name}.png"
        _draw(samples, i, mapper, path, name if miou is None else f"{name}: mIoU {100 * miou:.1f}")
        pictures.append({"picture": str(path), "world": samples.names[world], "frame": frame, "miou": miou})
    return Result({"out": str(options.out), "pictures": pictures}, f"{len(pictures)} pictures in {options.out}")


def _spread(length: int, count: int) -> list[int]:
    """At most `count` of `length` indices, evenly."""
    count = min(count, length)
    return sorted({round((i + 0.5) * length / count - 0.5) for i in range(count)})


def _worst(samples: SampleFolder, mapper: Mapper, among: int) -> list[tuple[int, Any]]:
    """(index, mIoU) of frames that have truth, lowest first."""
    from tqdm import tqdm

    from mapkd_core.evaluation.evaluate import evaluate
    from mapkd_core.evaluation.rendered import clip_all, sample_frame

    found = []
    for i in tqdm(_spread(len(samples), among), desc="predict", unit="frame", delay=2):
        truth = clip_all(samples[i].elements, mapper.grid)
        if truth:
            report = evaluate([(mapper.predict(sample_frame(samples[i])), truth, None)], classes=mapper.classes)
            found.append((i, round(report.miou, 4)))
    return sorted(found, key=lambda item: item[1])


def _draw(samples: SampleFolder, i: int, mapper: Mapper | None, path: Path, caption: str) -> None:
    import cv2

    from mapkd_core.drawing import contact_sheet
    from mapkd_core.evaluation.rendered import clip_all, sample_frame
    from mapkd_core.grid import BevGrid
    from mapkd_core.types import LocalMap

    frame = sample_frame(samples[i])
    if mapper is None:
        truth = LocalMap(BevGrid(), clip_all(samples[i].elements, BevGrid()))
        sheet = contact_sheet(frame, truth, caption=caption, title="truth")
    else:
        sheet = contact_sheet(frame, mapper.predict(frame), clip_all(samples[i].elements, mapper.grid), caption=caption)
    cv2.imwrite(str(path), sheet[..., ::-1])
