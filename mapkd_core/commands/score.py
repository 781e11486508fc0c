# SPDX-License-Identifier: Apache-2.0
"""Score predicted polylines against true ones: AP by any paper's protocol, and IoU of the drawn maps.

For any model: both files are {"frames": {token: [{"class": "divider", "points": [[x, y], ...], "score": 0.9,
"closed": false}, ...]}} in ego metres (x forward, y left; the truth without score), or what MapTR or StreamMapNet
write. docs/metrics.md says what each protocol answers. Scores are percent in the table, 0..1 in JSON.
--as-released keeps the quirks of the papers' own code, for numbers beside theirs; without it the corrected form counts.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.commands.result import Result
from mapkd_core.types import CLASSES
from mapkd_core.writing import write_json

if TYPE_CHECKING:
    from mapkd_core.evaluation.score import Scoring
    from mapkd_core.grid import BevGrid

EXAMPLE = """mapkd score truth.json predictions.json --protocol maptr --json
  mapkd score nuscenes_map_anns_val.json nuscmap_results.json --protocol pmapnet --as-released"""
PROTOCOLS = ("maptr", "streammapnet", "hdmapnet", "pmapnet", "raster", "cmap", "bevfusion", "calibration")
# Cells of the papers: HDMapNet and P-MapNet; 100 m is not a whole number of 0.15 m cells.
_CELL_M = {"60x30": 0.15, "100x50": 0.25, "120x60": 0.3, "240x60": 0.3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="JSON of the true maps")
    parser.add_argument("predicted", type=Path, metavar="PREDICTED", help="JSON of the predicted maps, with scores")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="maptr", help="whose AP")
    parser.add_argument("--as-released", action="store_true", help="with the quirks of the released code")
    parser.add_argument(
        "--range",
        default="60x30",
        metavar="LxW",
        help="metres along and across, around the ego; all is cut to it",
    )
    parser.add_argument("--thresholds", type=float, nargs="+", metavar="T", help="the protocol's own where not given")
    parser.add_argument("--strict", action="store_true", help="0.2, 0.5, 1.0 m for maptr and streammapnet")
    parser.add_argument("--classes", nargs="+", default=list(CLASSES), metavar="C", help="classes that are scored")
    parser.add_argument("--ignore-other-classes", action="store_true", help="leave others out instead of refusing them")
    parser.add_argument("--cell", type=float, metavar="M", help="cell of drawn maps in metres (0.15; far 0.25 or 0.3)")
    parser.add_argument(
        "--draw-above", type=float, default=0.3, metavar="S", help="score from which predictions are drawn for the IoU"
    )
    parser.add_argument("--no-iou", action="store_true", help="leave the IoU out, which is faster")
    parser.add_argument(
        "--lidar-x", type=float, default=0.94, metavar="M", help="LiDAR ahead of the ego, where one file is MapTR's"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="calibration: reliability diagram, .png or .svg")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the summary as JSON")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.evaluation.map_files import read_maps
    from mapkd_core.evaluation.score import score

    started = time.monotonic()
    how = _scoring(options)
    classes = how.settings.classes
    truth = read_maps(options.truth, False, classes, options.ignore_other_classes)
    predicted = read_maps(options.predicted, True, classes, options.ignore_other_classes)
    report = score(truth, predicted, how)
    summary = report.as_dict() | {"seconds": round(time.monotonic() - started, 2)}
    text = report.markdown()
    if options.plot:
        _plot(summary, options.plot)
        text += f"\n{options.plot}: reliability diagram"
    if options.out:
        write_json(options.out, summary)
    return Result(summary, text)


def _scoring(options: argparse.Namespace) -> Scoring:
    """Everything that can be refused before a file is read."""
    from mapkd_core.evaluation.protocols import Settings
    from mapkd_core.evaluation.score import Scoring

    if options.thresholds and min(options.thresholds) <= 0:
        raise ValueError(f"thresholds = {options.thresholds}; they must be above 0")
    if options.plot and options.protocol != "calibration":
        raise ValueError(f"--plot draws the reliability diagram of --protocol calibration, not of {options.protocol}")
    thresholds = tuple(sorted(set(options.thresholds))) if options.thresholds else None
    settings = Settings(_grid(options.range, options.cell), tuple(options.classes), thresholds, options.as_released)
    how = Scoring(
        options.protocol, settings, options.strict, None if options.no_iou else options.draw_above, options.lidar_x
    )
    how.scorer()
    return how


def _grid(text: str, cell: float | None) -> BevGrid:
    from mapkd_core.grid import BevGrid

    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", text)
    if not found:
        raise ValueError(f"range = {text!r}; expected LENGTHxWIDTH in metres, e.g. 60x30")
    length, width = float(found[1]), float(found[2])
    try:
        return BevGrid(-length / 2, length / 2, -width / 2, width / 2, cell or _CELL_M.get(text, 0.15))
    except ValueError as error:
        raise ValueError(f"{error}; choose another --cell or --range") from None


def _plot(summary: dict[str, Any], path: Path) -> None:
    """A curve a class, at the middle one of the thresholds."""
    from mapkd_core.evaluation.calibration import plot

    curves = {}
    for name, by_threshold in summary["reliability"].items():
        threshold = list(by_threshold)[len(by_threshold) // 2]
        ece = summary["ece"][name][threshold]
        if ece is not None:
            curves[f"{name} at {threshold} m, ECE {ece:.3f}"] = by_threshold[threshold]
    plot(curves, path)
