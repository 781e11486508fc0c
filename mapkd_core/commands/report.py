# SPDX-License-Identifier: Apache-2.0
"""Turn an evaluation into one page: tables, curves and the ten worst frames.

EVALUATION is the JSON that `mapkd evaluate --out` or `mapkd score --json` wrote. Precision-recall curves and the frames
are in it after `mapkd evaluate --per-frame`, the pictures of the worst after `--pictures DIR`. The page is one file:
it asks for nothing else, and may be sent and kept as it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mapkd_core.commands.result import Result
from mapkd_core.writing import write_text

EXAMPLE = (
    "mapkd report out/report.json out/report.html\n"
    "  after: mapkd evaluate --procedural 20 --out out/report.json --pictures out/worst"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("evaluation", type=Path, metavar="EVALUATION", help="JSON of an evaluation")
    parser.add_argument("out", type=Path, metavar="OUT", help="page to write (*.html)")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.report_page import page

    if options.out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{options.out} must end in .html")
    if not options.evaluation.is_file():
        raise FileNotFoundError(f"no evaluation at {options.evaluation}; write one with `mapkd evaluate --out FILE`")
    try:
        content = json.loads(options.evaluation.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{options.evaluation} is not JSON: {error}; is it cut off?") from error
    if not isinstance(content, dict):
        raise ValueError(f"{options.evaluation} holds a {type(content).__name__}, no evaluation")
    text = page(content, options.evaluation.parent)
    write_text(options.out, text)
    pictures = text.count("<img ")
    summary = {"out": str(options.out), "bytes": len(text.encode()), "pictures": pictures, "curves": text.count("<svg")}
    return Result(summary, f"{options.out}: {summary['curves']} plots, {pictures} pictures, {len(text) / 1e6:.1f} MB")
