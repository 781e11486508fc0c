# SPDX-License-Identifier: Apache-2.0
"""Export weights for other runtimes: ONNX, a TensorRT engine, or a package of PyTorch's ahead-of-time compiler.

The suffix of OUT says which: .onnx; .engine, built by NVIDIA's trtexec on the machine that it is for (a discrete GPU
or a Jetson), with the ONNX file beside it; .pt2, for PyTorch on this machine's processor.

Inputs: images 1 N 3 H W uint8 RGB and the view transform's plan (what mapkd_core.models.build.plan gives for a
calibration); outputs: probability 1 K Y X uint8, scores 1 Q K in 0..1, points 1 Q P 2 in 0..1 over the grid's
range. The ONNX file takes any number of cameras where the view transform allows it, as that of the shipped weights
does. What was written is run beside PyTorch before the command ends. The map node exports what it needs by itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mapkd_core.commands.result import Result

EXAMPLE = "mapkd export student.onnx\n  mapkd export student.engine --precision fp16"
TOLERANCE = {"probability": 1.01, "scores": 1e-3, "points": 1e-3}  # of 255; of 1; of the grid's size


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
    from mapkd_core.models.onnx_graph import OPSET, export, takes_any_number
    from mapkd_core.performance import compiled, int8, tensorrt
    from mapkd_core.training.checkpoint import load_weights

    if not 1 <= options.cameras <= MOST_CAMERAS:
        raise ValueError(f"cameras = {options.cameras}; must be 1 to {MOST_CAMERAS}")
    if options.out.suffix not in (".onnx", ".engine", ".pt2"):
        raise ValueError(f"{options.out}: suffix {options.out.suffix!r} is not known; use .onnx, .engine or .pt2")
    model, card = load_weights(options.weights or SHIPPED)
    images, plan = _inputs(model.config, options.cameras)
    summary: dict[str, Any] = {"out": str(options.out), "cameras": options.cameras, "sha256": card["sha256"]}
    if options.out.suffix == ".pt2":
        compiled.package(model, options.out, images, plan)
        summary["difference"] = _checked(model, images, plan, compiled.loaded(options.out))
    else:
        graph = options.out.with_suffix(".onnx")
        export(model, graph, options.cameras, plan)
        summary |= {"opset": OPSET, "any_number_of_cameras": takes_any_number(model)}
        summary["difference"] = _checked(model, images, plan, _onnx(graph))
        summary["not_in_tensorrt"] = tensorrt.unsupported(graph)
        if options.out.suffix == ".engine":
            if options.precision == "int8":
                int8.quantise(graph.read_bytes(), graph, int8.calibration_frames(model.config), symmetric=True)
            tensorrt.build(graph, options.out, model.config, options.precision, takes_any_number(model))
            summary["precision"] = options.precision
    summary["bytes"] = options.out.stat().st_size
    away = ", ".join(f"{name} {value:.2g}" for name, value in summary["difference"].items())
    number = "any number of cameras" if summary.get("any_number_of_cameras") else f"{options.cameras} cameras"
    opset = f"opset {OPSET}, " if "opset" in summary else ""
    return Result(summary, f"{options.out}: {summary['bytes'] / 1e6:.1f} MB, {opset}{number}; from PyTorch: {away}")


def _inputs(config: Any, cameras: int) -> tuple[Any, Any]:
    """Random pictures, and the plan of the nuScenes rig; from the seventh camera on the first ones again."""
    import numpy as np

    from mapkd_core.data.prepare import model_camera
    from mapkd_core.models.build import plan
    from mapkd_core.worlds.rig import nuscenes_rig

    rig = [model_camera(camera, config) for camera in (nuscenes_rig() * 2)[:cameras]]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    size = (cameras, 3, config.image_height, config.image_width)
    images = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    return images, plan(config, K, poses, np.ones(cameras, bool))


def _onnx(path: Path) -> Any:
    from mapkd_core.models.onnx_graph import session

    found = session(str(path))
    return lambda images, plan: [a[0] for a in found.run(None, {"images": images[None], "plan": plan[None]})]


def _checked(model: Any, images: Any, plan: Any, run: Any) -> dict[str, float]:
    """The largest differences from PyTorch. Raises RuntimeError where one is above TOLERANCE."""
    import numpy as np

    from mapkd_core.models.inference import torch_runner

    pairs = zip(TOLERANCE, run(images, plan), torch_runner(model)(images, plan))
    away = {name: float(np.abs(a.astype(float) - b).max()) for name, a, b in pairs}
    if wrong := [name for name, value in away.items() if not value <= TOLERANCE[name]]:
        raise RuntimeError(f"what was written answers otherwise than PyTorch in {', '.join(wrong)}: {away}")
    return away
