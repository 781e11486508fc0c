# SPDX-License-Identifier: Apache-2.0
"""The options of `mapkd bench ratios`, `latency`, `executors` and `fleet`, and what they do with them."""

from __future__ import annotations

import argparse
from typing import Any

from mapkd_core.commands.arguments import size

_NODE_S = 4.0  # of driving for `ratios`: enough for medians


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside those of the other measurements."""
    group = parser.add_argument_group("ratios, latency, fleet")
    group.add_argument(
        "--seconds", type=float, metavar="S", help="latency, ratios: length of the drive; 10 and 4 if absent"
    )
    group.add_argument(
        "--size", default="1600x900", metavar="WxH", help="latency, ratios: rendered pictures, in pixels"
    )
    group.add_argument("--without-node", action="store_true", help="ratios: of the network alone, without ROS 2")
    group.add_argument("--price", type=float, metavar="P", help="fleet: of a core hour, any currency; 0.05 if absent")
    group.add_argument("--speeds", type=float, nargs="+", metavar="KMH", help="fleet: average speeds; 30 80 if absent")
    group.add_argument("--workers", type=int, metavar="W", help="fleet: processes; one per core if absent")


def ratios(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text; where the nodes cannot run, why is said in the place of their ratios."""
    from mapkd_core.bench import latency
    from mapkd_core.bench import ratios as bench

    width, height = size(options.size)
    if options.repeats < 1:
        raise ValueError(f"repeats = {options.repeats}; must be at least 1")
    node: dict[str, Any] = {"error": "not asked for"}
    if not options.without_node:
        try:
            node = latency.run(options.weights, options.seconds or _NODE_S, width, height)
        except (RuntimeError, ImportError, FileNotFoundError) as error:  # no ROS 2 here, or a node that fails
            node = {"error": " ".join(str(error).split())}
    result = bench.run(options.weights, options.repeats, options.threads, node)
    return result, bench.text(result)


def latency(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text."""
    from mapkd_core.bench import latency as bench
    from mapkd_core.data.frame_folder import read_frame_folder

    recorded = read_frame_folder(options.frame) if options.frame else None
    result = bench.run(options.weights, options.seconds or 10.0, *size(options.size), recorded)
    width, height = result["picture"]
    weight = f" of {result['jpeg_bytes'] / 1000:.0f} kB" if "jpeg_bytes" in result else ""
    lines = [
        f"{result['frames_out']} maps of {result['frames_in']} frames of six {width} x {height} JPEGs{weight}, "
        f"{result['rate_hz'] or 0:.1f} Hz, replayed at {result['replay_speed']:g} of real time",
        "latency ms  " + _row(result["latency_ms"]),
        *(f"{stage:<12}" + _row(times) for stage, times in result["stages_ms"].items()),
    ]
    return result, "\n".join(lines)


def executors(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text. Raises ValueError without --frame."""
    from mapkd_core.bench import executors as bench
    from mapkd_core.data.frame_folder import read_frame_folder

    if not options.frame:
        raise ValueError("executors are compared on recorded pictures: give a frame folder by --frame")
    result = bench.run(options.weights, read_frame_folder(options.frame), options.seconds or 10.0)
    return result, "\n".join(bench.markdown(result))


def fleet(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text."""
    from mapkd_core.commands.performance_blocks import fleet as markdown
    from mapkd_core.data.frame_folder import read_frame_folder
    from mapkd_core.performance import fleet as bench

    price = bench.PRICE if options.price is None else options.price
    recorded = read_frame_folder(options.frame) if options.frame else None
    speeds = options.speeds or bench.SPEEDS_KMH
    result = bench.run(options.weights, options.repeats, options.workers, speeds, price, recorded=recorded)
    return result, "\n".join(markdown(result))


def _row(times: dict[str, float] | None) -> str:
    return "  ".join(f"{name} {value:7.1f}" for name, value in (times or {}).items())
