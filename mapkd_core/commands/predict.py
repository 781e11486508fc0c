# SPDX-License-Identifier: Apache-2.0
"""Predict the map around the vehicle, from one frame folder or from a fleet's bags.

DIR holds frame.json, the images and, if any, the LiDAR sweep (docs/formats.md). With --json the summary carries
every polyline: class, confidence 0..1, closed or open, and its vertices in ego metres (x forward, y left). With
--out a folder gets map.json and map.png: the images with the predicted lines on them, and the map beside the truth
where there is one. Then truth.png, too: the true lines on the images, and over the predicted raster.

With --bags a bag a process, on all cores, becomes OUT/<bag>.json: the polylines of every frame, as `mapkd score` reads
them; with --raster also OUT/<bag>.rasters/<stamp>.npz or .png. A bag that is there already is not mapped again, so that
the same command goes on where it was broken off. Started by torchrun, each rank maps its share of the bags into OUT.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.commands import predict_bags
from mapkd_core.commands.arguments import add_backend
from mapkd_core.commands.output import write_picture
from mapkd_core.commands.result import Result
from mapkd_core.writing import write_json

EXAMPLE = """mapkd predict scene0061 --json
  mapkd predict scene0061 --out out/scene0061
  mapkd predict --bags monday.mcap tuesday.mcap --out maps"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="frame folder")
    source.add_argument("--bags", type=Path, nargs="+", metavar="BAG", help="recorded drives, instead of DIR")
    parser.add_argument("--out", type=Path, metavar="OUT", help="folder for what is written; made where absent")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="NAME.safetensors; the shipped ones if absent")
    parser.add_argument(
        "--vectors", choices=("auto", "query", "raster"), default="auto", help="head that gives polylines"
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        metavar="C",
        help="leave out polylines below it, 0..1; the card's if absent",
    )
    add_backend(parser)
    predict_bags.add_arguments(parser)


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.data.frame_folder import read_frame_folder
    from mapkd_core.mapper import Mapper

    if options.min_confidence is not None and not 0 <= options.min_confidence <= 1:
        raise ValueError(f"min-confidence = {options.min_confidence}; must be 0 to 1")
    if options.bags:
        return predict_bags.run(options)
    source = read_frame_folder(options.folder)
    mapper = Mapper(options.weights, options.backend, vectors=options.vectors, min_confidence=options.min_confidence)
    local_map = mapper.predict(source.frame)
    summary: dict[str, Any] = {
        "frame": source.name, "stamp_ns": local_map.stamp_ns, "cameras": list(local_map.valid_cameras),
        "range_m": list(local_map.grid.bounds), "vectors": mapper.vectors,
        "times_ms": {stage: round(ms, 2) for stage, ms in local_map.times_ms.items()},
        "elements": [_element(element) for element in local_map.elements],
    }  # fmt: skip
    if source.labelled:
        summary["scores"] = _scores(local_map, source)
    if options.out:
        summary["out"] = str(options.out)
        _write(options.out, summary, source, local_map)
    return Result(summary, _text(summary, local_map.classes))


def _element(element: Any) -> dict[str, Any]:
    return {
        "class": element.class_name,
        "confidence": round(float(element.confidence), 4),
        "closed": bool(element.is_closed),
        "vertices_m": np.round(np.asarray(element.vertices_m, float), 3).tolist(),
    }


def _scores(local_map: Any, source: Any) -> dict[str, float | None]:
    from mapkd_core.commands.scores import short
    from mapkd_core.evaluation.evaluate import evaluate

    return short(evaluate([(local_map, source.elements, source.labelled)]))


def _write(out: Path, summary: dict[str, Any], source: Any, local_map: Any) -> None:
    from mapkd_core.drawing import contact_sheet

    write_json(out / "map.json", summary)
    truth = source.elements if source.labelled else None
    sheets = {"map": contact_sheet(source.frame, local_map, truth, caption=source.name)}
    if truth is not None:
        true_map = replace(local_map, elements=truth, times_ms={})
        sheets["truth"] = contact_sheet(source.frame, true_map, caption=source.name, title="truth over prediction")
    for name, sheet in sheets.items():
        write_picture(out / f"{name}.png", sheet)


def _text(summary: dict[str, Any], classes: tuple[str, ...]) -> str:
    counts = ", ".join(f"{sum(e['class'] == name for e in summary['elements'])} {name}" for name in classes)
    lines = [f"{summary['frame']}: {counts}; network {summary['times_ms']['network']:.0f} ms"]
    if "scores" in summary:
        lines.append(", ".join(f"{k} {v:.3f}" for k, v in summary["scores"].items() if v is not None) + " (one frame)")
    if "out" in summary:
        pictures = "map.png, truth.png" if "scores" in summary else "map.png"
        lines.append(f"{summary['out']}: {pictures}, map.json")
    return "\n".join(lines)
