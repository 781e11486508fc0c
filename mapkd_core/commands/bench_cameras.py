# SPDX-License-Identifier: Apache-2.0
"""The options of `mapkd bench cameras`, and what it does with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside those of the other measurements."""
    group = parser.add_argument_group("cameras")
    group.add_argument("--data", type=Path, metavar="DIR", help="folder of samples; frames are rendered if absent")
    group.add_argument("--frames", type=int, default=100, metavar="N", help="frames, evenly spread")
    group.add_argument("--rendered-worlds", type=int, default=10, metavar="N", help="worlds of the rendered frames")
    group.add_argument("--conditions", nargs="+", default=[], metavar="NAME", help="e.g. rain CAM_BACK; all if absent")
    group.add_argument("--cameras-plot", type=Path, metavar="FILE", help="write the table as a picture: .svg, .png")


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text. With --out the file is written after every condition, and gone on with by the next call."""
    from mapkd_core.robustness.bench import CameraBench
    from mapkd_core.robustness.bench import run as measure
    from mapkd_core.robustness.table import markdown, plot

    bench = CameraBench(
        options.data, options.weights, options.frames, options.rendered_worlds, threads=options.threads,
        only=tuple(options.conditions),
    )  # fmt: skip
    result = measure(bench, options.out)
    if options.cameras_plot:
        plot(result, options.cameras_plot)
    return result, "\n".join(markdown(result))
