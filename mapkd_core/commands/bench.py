# SPDX-License-Identifier: Apache-2.0
"""Measure how fast the network and the whole node are on this machine.

`speed` (the default) runs the student beside a network of HDMapNet's shape, in turns in one process, in eager
PyTorch and in the fastest runtime, and times every stage from six 1600x900 JPEGs to polylines. `latency` replays a
short drive, rendered or of the JPEGs of --frame, through the map node over DDS and reports capture to map, in
milliseconds, and the rate held; it needs ROS 2. `students` trains several shapes of the student for a few minutes each
on out/data/train, and reports what each learned and costs. `distill` trains teacher, coach and the student under every
distillation scheme on roads-v1, and tabulates what each is worth: hours, in as many sittings as you like.

`budget` says where the time of a frame goes, stage by stage and part by part of the network, beside the least that
this machine allows; with --device cuda it measures a GPU, in all its precisions. `ways` times every runtime that is
installed, compares and scores it beside PyTorch, and keeps the fastest good one for this machine: what `backend:
auto` takes. `scaling` times the network against the size of the pictures, the number of cameras, the range of the map
and the batch. `rendering` times the worlds that data is made of.

`cameras` scores the map while cameras are missing, dirty, dark, frozen, swapped or no longer where the calibration
says (docs/dependability.md); with --out it goes on where a run was broken off. `fusion` follows drives and compares
the single frame's polylines with those that are fused over time.

`ratios` is what `make bench` runs: the student against the HDMapNet-shaped network and against the roofline, and the
node against the bare network. `fleet` measures frames a second and core, and says what mapping 1,000 km of logs costs.
`reduced` says what scores lose when JPEGs are decoded no larger than the network needs, as the live node does.
`executors` replays the JPEGs of --frame under both of rclpy's executors. `vectorising` times what makes polylines of
the network's answers, by either head.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mapkd_core.commands import bench_budget, bench_cameras, bench_distill, bench_fusion, bench_ratios, bench_reduced
from mapkd_core.commands.result import Result
from mapkd_core.writing import write_json

EXAMPLE = """mapkd bench speed --threads 2 --out speed.json
  mapkd bench budget --bar budget.svg --roofline roofline.svg
  mapkd bench ways
  mapkd bench latency --frame FOLDER
  mapkd bench ratios --out out/bench.json
  mapkd bench fleet --price 0.04 --out fleet.json
  mapkd bench reduced --worlds 100 --out reduced.json
  mapkd bench cameras --data out/data/validation --out cameras.json
  mapkd bench fusion --out fusion.json
  mapkd bench students --steps 400 --out students.json
  mapkd bench distill --minutes 120 --out distill.json --plot distill.svg"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = ("speed", "latency", "students", "distill", "budget", "ways", "scaling", "rendering", "cameras", "fusion")
    kinds += ("ratios", "fleet", "reduced", "executors", "vectorising")
    told = f"what to measure, speed if absent: {', '.join(kinds)}"
    parser.add_argument("what", nargs="?", choices=kinds, default="speed", metavar="WHAT", help=told)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="NAME.safetensors; the shipped ones if absent")
    parser.add_argument("--repeats", type=int, default=10, metavar="N", help="rounds to measure, where they count")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="speed: of both runtimes; all cores, at most 4, if absent"
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="steps of each training; students: 400, distill: the size's own if absent",
    )
    parser.add_argument("--runs", type=Path, metavar="DIR", help="run folders; out/students, out/distill if absent")
    parser.add_argument("--shapes", nargs="+", metavar="NAME", help="students: which of them; all if absent")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, too")
    bench_distill.add_arguments(parser)
    bench_budget.add_arguments(parser)
    bench_cameras.add_arguments(parser)
    bench_ratios.add_arguments(parser)
    bench_fusion.add_arguments(parser)


def run(options: argparse.Namespace) -> Result:
    kinds = {
        "speed": _speed, "latency": bench_ratios.latency, "students": _students, "distill": bench_distill.run,
        "budget": bench_budget.budget, "ways": bench_budget.ways, "scaling": bench_budget.scaling,
        "rendering": _rendering, "cameras": bench_cameras.run, "fusion": bench_fusion.run,
        "ratios": bench_ratios.ratios, "fleet": bench_ratios.fleet, "reduced": bench_reduced.run,
        "executors": bench_ratios.executors, "vectorising": _vectorising,
    }  # fmt: skip
    result, text = kinds[options.what](options)
    if options.out:
        write_json(options.out, result)
    return Result(result, text)


def _speed(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.bench import speed, table

    if options.repeats < 1:
        raise ValueError(f"repeats = {options.repeats}; must be at least 1")
    result = speed.run(options.weights, options.repeats, options.threads)
    return result, table.text(result)


def _students(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.bench import students
    from mapkd_core.config import TrainConfig, load

    steps, runs = 400 if options.steps is None else options.steps, options.runs or Path("out/students")
    if steps < 1:
        raise ValueError(f"steps = {steps}; must be at least 1")
    config = load(TrainConfig, "config/train/student.yaml" if Path("config/train/student.yaml").is_file() else None)
    result = students.run(config, steps, runs, options.shapes or list(students.SHAPES))
    lines = [f"{'student':<32}{'mIoU':>7}{'ms':>8}{'GFLOP':>8}"]
    for name, row in result["students"].items():
        score = row["validation"].get("miou", float("nan"))
        lines.append(f"{name:<32}{score:>7.1f}{row['forward_ms']['median']:>8.1f}{row['gflop']:>8.2f}")
    return result, "\n".join(lines)


def _rendering(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.bench import rendering

    result = rendering.run(options.repeats)
    return result, "\n".join(rendering.markdown(result))


def _vectorising(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.bench import vectorising

    worlds = vectorising.WORLDS if options.worlds is None else options.worlds
    result = vectorising.run(options.weights, options.repeats, options.threads, worlds)
    return result, "\n".join(vectorising.markdown(result))
