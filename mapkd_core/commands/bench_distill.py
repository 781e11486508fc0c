# SPDX-License-Identifier: Apache-2.0
"""The options of `mapkd bench distill`, and what it does with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mapkd_core.writing import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside those of the other measurements."""
    group = parser.add_argument_group("distill")
    group.add_argument("--benchmark", default="small", metavar="SIZE", help="size of roads-v1: smoke, small, full")
    group.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help="students to train; if absent all but the cold_ ones"
    )
    group.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of every row")
    group.add_argument("--ablation-seeds", type=int, default=1, metavar="N", help="runs of every ablation")
    group.add_argument("--minutes", type=float, default=0.0, metavar="M", help="begin no run after M; 0: no limit")
    group.add_argument("--only-table", action="store_true", help="train nothing, gather what is there")
    group.add_argument(
        "--variants", type=int, default=0, metavar="K",
        help="of every frame; 0: those of the size's file, one per epoch where that says 0",
    )  # fmt: skip
    group.add_argument(
        "--answers-gb",
        type=float,
        default=24.0,
        metavar="G",
        help="the most that a teacher's new answers take on disk; 0: keep none",
    )
    group.add_argument(
        "--kept",
        type=Path,
        metavar="DIR",
        help="goes on from the results and teachers there, and adds its own",
    )
    group.add_argument("--plot", type=Path, metavar="FILE", help="write the table as a picture, too: .svg, .png")
    group.add_argument(
        "--set", nargs="+", default=[], metavar="key=value", help="settings to change in all runs, e.g. workers=0"
    )


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The table as JSON and as text. Raises ValueError for numbers below their least."""
    from mapkd_core.bench import distill
    from mapkd_core.bench.distill_config import Bench
    from mapkd_core.bench.distill_markdown import markdown
    from mapkd_core.bench.distill_table import table

    least = {"seeds": 1, "ablation_seeds": 0, "minutes": 0, "steps": 1, "variants": 0, "repeats": 1, "answers_gb": 0}
    for name, lowest in least.items():
        if (value := getattr(options, name)) is not None and value < lowest:
            raise ValueError(f"{name.replace('_', '-')} = {value}; must be at least {lowest}")
    bench = Bench(
        options.benchmark, options.runs or Path("out/distill"), options.steps or 0, options.variants,
        options.answers_gb, tuple(options.set), options.kept,
    )  # fmt: skip
    left = []
    if not options.only_table:
        left = distill.run(bench, options.rows, options.seeds, options.ablation_seeds, options.minutes)
    result = table(bench, options.repeats)
    lines = markdown(result)
    if options.plot:
        from mapkd_core.bench.distill_plot import plot

        plot(result, options.plot)
    if left:
        names = ", ".join(f"{name}/{seed}" for name, seed in left)
        lines += ["", f"{len(left)} runs are still to do, the same command goes on with them: {names}"]
    if options.out:
        write_json(options.out, result)
    return result, "\n".join(lines)
