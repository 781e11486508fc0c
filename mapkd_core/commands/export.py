# SPDX-License-Identifier: Apache-2.0
"""Export weights to an ONNX file for a fixed number of cameras.

Inputs: images 1 N 3 H W uint8 RGB and the view transform's plan (what mapkd_core.models.build.plan gives for a
calibration); outputs: probability 1 K Y X uint8, scores 1 Q K in 0..1, points 1 Q P 2 in 0..1 over the grid's
range. The map node exports what it needs by itself; this is for other runtimes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.commands.result import Result

EXAMPLE = "mapkd export student.onnx --cameras 6"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="the .onnx file to write")
    parser.add_argument("--cameras", type=int, default=6, metavar="N", help="number of cameras, 1 to 8")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="NAME.safetensors; the shipped ones if absent")


def run(options: argparse.Namespace) -> Result:
    import numpy as np

    from mapkd_core.data.prepare import MOST_CAMERAS
    from mapkd_core.mapper import SHIPPED
    from mapkd_core.models.build import plan
    from mapkd_core.models.onnx_graph import OPSET, export
    from mapkd_core.training.checkpoint import load_weights
    from mapkd_core.worlds.rig import nuscenes_rig

    if not 1 <= options.cameras <= MOST_CAMERAS:
        raise ValueError(f"cameras = {options.cameras}; must be 1 to {MOST_CAMERAS}")
    model, card = load_weights(options.weights or SHIPPED)
    rig = [nuscenes_rig()[i % 6] for i in range(options.cameras)]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    export(model, options.out, options.cameras, plan(model.config, K, poses, np.ones(len(rig), bool)))
    size = options.out.stat().st_size
    summary = {
        "out": str(options.out),
        "bytes": size,
        "opset": OPSET,
        "cameras": options.cameras,
        "sha256": card["sha256"],
    }
    return Result(summary, f"{options.out}: {size / 1e6:.1f} MB, opset {OPSET}, {options.cameras} cameras")
