# SPDX-License-Identifier: Apache-2.0
"""Export weights for other runtimes: ONNX, a TensorRT engine, or a package of PyTorch's ahead-of-time compiler.

The suffix of OUT says which: .onnx; .engine, built by NVIDIA's trtexec on the machine that it is for (a discrete GPU
or a Jetson), with the ONNX file beside it; .pt2, for PyTorch on this machine's processor.

Inputs: images 1 N 3 H W uint8 RGB and the view transform's plan (what mapkd_core.models.build.plan gives for a
calibration); outputs: probability 1 K Y X uint8, scores 1 Q K in 0..1, points 1 Q P 2 in 0..1 over the grid's
range. The ONNX file takes any number of cameras where the view transform allows it, as that of the shipped weights
does. The map node exports what it needs by itself.

Before the command ends, an .onnx or .pt2 file is run beside PyTorch: 1 of 255 in probability and 0.001 in scores and
points may differ. With an .engine that is done with the ONNX file beside it; for int8 once more when its scales are in
it, on four rendered frames, which may differ by 3 of 255, 0.02 and 0.015 on average. The engine itself is not run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mapkd_core.commands.result import Result

EXAMPLE = "mapkd export student.onnx\n  mapkd export student.engine --precision fp16"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="the .onnx, .engine or .pt2 file to write")
    parser.add_argument("--cameras", type=int, default=6, metavar="N", help="number of cameras, 1 to 8")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="NAME.safetensors; the shipped ones if absent")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "bf16", "int8"), default="fp16", help="of a TensorRT engine"
    )


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.data.prepare import MOST_CAMERAS
    from mapkd_core.mapper import SHIPPED
    from mapkd_core.training.checkpoint import load_weights

    if not 1 <= options.cameras <= MOST_CAMERAS:
        raise ValueError(f"cameras = {options.cameras}; must be 1 to {MOST_CAMERAS}")
    if options.out.suffix not in (".onnx", ".engine", ".pt2"):
        raise ValueError(f"{options.out}: suffix {options.out.suffix!r} is not known; use .onnx, .engine or .pt2")
    model, card = load_weights(options.weights or SHIPPED)
    summary: dict[str, Any] = {"out": str(options.out), "cameras": options.cameras, "sha256": card["sha256"]}
    summary |= _package(model, options) if options.out.suffix == ".pt2" else _graph(model, options)
    summary["bytes"] = options.out.stat().st_size
    return Result(summary, _text(summary))


def _package(model: Any, options: argparse.Namespace) -> dict[str, Any]:
    from mapkd_core.performance import beside_pytorch, compiled

    given = beside_pytorch.noise(model.config, options.cameras)
    compiled.package(model, options.out, *given)
    return {"difference": beside_pytorch.checked(model, compiled.loaded(options.out), [given])}


def _graph(model: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The ONNX file, and the engine of it where that is asked for."""
    from mapkd_core.models.onnx_graph import OPSET, export, takes_any_number
    from mapkd_core.performance import beside_pytorch, int8, tensorrt

    given, graph = beside_pytorch.noise(model.config, options.cameras), options.out.with_suffix(".onnx")
    export(model, graph, options.cameras, given[1])
    told: dict[str, Any] = {"opset": OPSET, "any_number_of_cameras": takes_any_number(model)}
    told["difference"] = beside_pytorch.checked(model, beside_pytorch.onnx_file(graph), [given])
    told["not_in_tensorrt"] = tensorrt.unsupported(graph)
    if options.out.suffix != ".engine":
        return told
    if options.precision == "int8":
        int8.quantise(
            graph.read_bytes(), graph, map(int8.inputs, int8.calibration_frames(model.config)), symmetric=True
        )
        seen = int8.checking_frames(model.config)
        told["difference_int8"] = beside_pytorch.checked_int8(model, beside_pytorch.onnx_file(graph), seen)
    tensorrt.build(graph, options.out, model.config, options.precision, takes_any_number(model))
    return told | {"precision": options.precision}


def _text(summary: dict[str, Any]) -> str:
    is_engine = "precision" in summary
    number = "any number of cameras" if summary.get("any_number_of_cameras") else f"{summary['cameras']} cameras"
    opset = f"opset {summary['opset']}, " if "opset" in summary else ""
    of = "; the ONNX file beside it, from PyTorch: " if is_engine else "; from PyTorch: "
    line = f"{summary['out']}: {summary['bytes'] / 1e6:.1f} MB, {opset}{number}{of}{_listed(summary['difference'])}"
    if "difference_int8" in summary:
        line += f"; in int8 on average: {_listed(summary['difference_int8'])}"
    return line + ("; the engine was not run" if is_engine else "")


def _listed(away: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2g}" for name, value in away.items())
