# SPDX-License-Identifier: Apache-2.0
"""The options of `mapkd bench fusion`, and what it does with them."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside those of the other measurements."""
    group = parser.add_argument_group("fusion")
    group.add_argument("--drives", type=int, default=4, metavar="N", help="rendered drives")
    group.add_argument("--drive-frames", type=int, default=40, metavar="N", help="frames of each, five a second")


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text."""
    from mapkd_core.bench.lasting import FusionBench, markdown
    from mapkd_core.bench.lasting import run as measure

    result = measure(FusionBench(options.drives, options.drive_frames, weights=options.weights))
    return result, "\n".join(markdown(result))
