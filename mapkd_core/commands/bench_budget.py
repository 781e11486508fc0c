# SPDX-License-Identifier: Apache-2.0
"""The options of `mapkd bench budget`, `ways` and `scaling`, and what they do with them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mapkd_core.commands.arguments import add_backend


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside those of the other measurements."""
    group = parser.add_argument_group("budget, ways, scaling; latency, which reads --frame, too")
    add_backend(group, "budget, scaling: runtime")
    group.add_argument(
        "--frame",
        type=Path,
        metavar="DIR",
        help="budget: a frame folder, whose JPEGs are measured, too; ways: which is compared, too; fleet: instead",
    )
    group.add_argument(
        "--device", default="cpu", metavar="D", help="budget: cpu, or cuda[:N] for the GPU's own in all its precisions"
    )
    group.add_argument("--node", type=Path, metavar="FILE", help="budget: result of `bench latency` to put beside")
    group.add_argument("--bar", type=Path, metavar="FILE", help="budget: write it as a stacked bar: .svg, .png")
    group.add_argument("--roofline", type=Path, metavar="FILE", help="budget: write the roofline: .svg, .png")
    group.add_argument("--ways", nargs="+", default=[], metavar="WAY", help="ways: which of them; all if absent")
    group.add_argument(
        "--worlds", type=int, metavar="N", help="worlds scored; ways and GPU: 4 (0: none), reduced: 100, if absent"
    )
    group.add_argument("--forget", action="store_true", help="ways: do not keep the choice for this machine")
    group.add_argument("--axes", nargs="+", metavar="AXIS", help="scaling: picture, cameras, range, batch; all")


def budget(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text. Raises FileNotFoundError without the file of --node or the folder of --frame.

    Raises ValueError for a frame folder that is not of JPEGs of the nuScenes rig.
    """
    from mapkd_core.data.frame_folder import read_frame_folder
    from mapkd_core.performance import budget, budget_plot

    _check(options)
    if options.device != "cpu":
        return _device_budget(options)
    if options.node and not options.node.is_file():
        raise FileNotFoundError(f"no result at {options.node}; make it with mapkd bench latency --out {options.node}")
    node = json.loads(options.node.read_text()) if options.node else None
    recorded = read_frame_folder(options.frame) if options.frame else None
    result = budget.run(options.weights, options.repeats, options.threads, options.backend, None, node, recorded)
    for path, draw in ((options.bar, budget_plot.bar), (options.roofline, budget_plot.roofline)):
        if path:
            draw(result, path)
    return result, _budget_text(result)


def _device_budget(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mapkd_core.data.frame_folder import read_frame_folder
    from mapkd_core.performance import device_budget, device_table

    if options.node or options.bar or options.roofline:
        raise ValueError(f"--bar, --roofline and --node are of the CPU's budget: leave them out on {options.device}")
    recorded = read_frame_folder(options.frame) if options.frame else None
    backends = [] if options.backend == "auto" else [options.backend]
    result = device_budget.run(
        options.weights, options.device, backends, options.repeats, options.threads, None, recorded, _worlds(options)
    )
    return result, "\n".join(device_table.markdown(result))


def ways(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text; the choice is kept in the user's cache. Raises FileNotFoundError without the folder of --frame."""
    from mapkd_core.data.frame_folder import read_frame_folder
    from mapkd_core.performance import ways_bench, ways_table

    _check(options)
    worlds = _worlds(options)
    recorded = read_frame_folder(options.frame).frame if options.frame else None
    keep = not options.forget
    result = ways_bench.run(
        options.weights, options.ways, options.repeats, options.threads, worlds, keep=keep, recorded=recorded
    )
    return result, ways_table.text(result)


def scaling(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text, and the picture of --plot."""
    from mapkd_core.performance import scaling, scaling_plot

    _check(options)
    result = scaling.run(options.axes or scaling.AXES, options.repeats, options.threads, backend=options.backend)
    if options.plot:
        scaling_plot.plot(result, options.plot)
    return result, "\n".join(scaling_plot.markdown(result))


def _worlds(options: argparse.Namespace) -> int:
    worlds: int = 4 if options.worlds is None else options.worlds
    if worlds < 0:
        raise ValueError(f"worlds = {worlds}; must be at least 0")
    return worlds


def _check(options: argparse.Namespace) -> None:
    if options.repeats < 1:
        raise ValueError(f"repeats = {options.repeats}; must be at least 1")


def _budget_text(result: dict[str, Any]) -> str:
    roofs, lines = result["ceilings"], []
    for name, stages in result["stages_ms"].items():
        row = "  ".join(f"{stage} {ms['p50']:.1f}" for stage, ms in stages.items())
        lines.append(f"{name:<22}{row}  (p95 {stages['total']['p95']:.1f} ms)")
    lines += ["", f"{'part of the network':<22}{'GFLOP':>8}{'MB':>8}{'p50 ms':>9}{'floor':>8}{'GFLOP/s':>9}"]
    for name, row in result["parts"].items():
        cells = f"{row['gflop']:>8.3f}{row['moved_mb']:>8.2f}{row['p50']:>9.2f}{row['floor_ms']:>8.2f}"
        lines.append(f"{name:<22}{cells}{row['gflops']:>9.1f}")
    lines.append(
        f"ceilings: {roofs['conv_gflops']} GFLOP/s in large convolutions, {roofs['own_conv_gflops']} in the network's "
        f"own, {roofs['bandwidth_gbs']} GB/s"
    )
    return "\n".join(lines)
