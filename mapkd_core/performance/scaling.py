# SPDX-License-Identifier: Apache-2.0
"""Latency of the forward pass against picture, cameras, range and batch: one of them changes, the others stay.

Weights are random where their shapes differ from the shipped ones; time does not depend on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.bench import machine
from mapkd_core.bench.cost import operations
from mapkd_core.bench.timing import interleaved, torch_threads
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.grid import BevGrid
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import build, plan
from mapkd_core.models.deployed import Deployed
from mapkd_core.models.inference import Inference
from mapkd_core.models.onnx_graph import default_threads, export
from mapkd_core.performance import choice
from mapkd_core.performance.budget import spread
from mapkd_core.performance.parts import RUNTIMES
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.worlds.rig import nuscenes_rig

PICTURES = ((96, 256), (128, 352), (192, 512), (256, 704))  # height, width
CAMERAS = (1, 2, 4, 6, 8)
RANGES_M = ((60, 30), (60, 60), (120, 30), (120, 60))  # length, width
BATCHES = (1, 2, 4)
AXES = ("picture", "cameras", "range", "batch")
Case = tuple[str, str, float, Callable[[], object]]  # axis, its value, GFLOP, one forward pass


def run(
    axes: Sequence[str] = AXES,
    repeats: int = 10,
    threads: int | None = None,
    config: ModelConfig | None = None,
    backend: str = "auto",
) -> dict[str, Any]:
    """Measure; JSON-ready. Two minutes for all axes on two idle cores. Raises ValueError for an unknown axis
    and for another backend.

    backend: one of `parts.RUNTIMES`; auto takes what runs the shipped weights on this machine, or ONNX Runtime where
    that is PyTorch or its compiler.
    """
    if unknown := set(axes) - set(AXES):
        raise ValueError(f"axis {', '.join(sorted(unknown))} is unknown; known: {', '.join(AXES)}")
    count = threads or default_threads()
    if backend not in ("auto", *RUNTIMES):
        raise ValueError(f"backend {backend!r} is not one that is scaled; known: auto, {', '.join(RUNTIMES)}")
    asked = choice.taken(backend, load_weights(SHIPPED)[1]["sha256"], count)
    runtime = asked if asked in RUNTIMES else "onnx"
    before, rows = machine.load(), []
    with torch_threads(count), tempfile.TemporaryDirectory() as folder:
        for axis in axes:
            cases = list(_cases(axis, config or ModelConfig(), runtime, count, Path(folder)))
            times = interleaved({value: call for _, value, _, call in cases}, repeats)
            rows += [
                {"axis": a, "value": value, "gflop": round(gflop, 3), "forward_ms": spread(times[value])}
                for a, value, gflop, _ in cases
            ]
    load = {"load_before": before, "load_after": machine.load()}
    return {"schema": 1, "machine": machine.describe(count) | load, "runtime": runtime, "rows": rows}


def _cases(axis: str, config: ModelConfig, runtime: str, threads: int, folder: Path) -> Iterator[Case]:
    if axis == "picture":
        for height, width in PICTURES:
            changed = replace(config, image_height=height, image_width=width)
            yield _case(axis, f"{width} x {height}", changed, 6, runtime, threads, folder)
    elif axis == "cameras":
        for cameras in CAMERAS:
            yield _case(axis, str(cameras), config, cameras, runtime, threads, folder)
    elif axis == "range":
        for length, width in RANGES_M:
            grid = BevGrid(-length / 2, length / 2, -width / 2, width / 2, config.grid.cell)
            yield _case(axis, f"{length} x {width} m", replace(config, grid=grid), 6, runtime, threads, folder)
    else:
        network = Inference(build(config)).eval().to(memory_format=torch.channels_last)
        images, table = (torch.from_numpy(a)[None] for a in _inputs(config, 6))
        gflop = operations(network, images, table) / 1e9
        for batch in BATCHES:
            given = images.expand(batch, -1, -1, -1, -1).contiguous(), table.expand(batch, -1, -1, -1, -1).contiguous()
            call = torch.inference_mode()(lambda given=given: network(*given))
            yield axis, f"{batch} (PyTorch)", batch * gflop, call


def _case(axis: str, value: str, config: ModelConfig, cameras: int, runtime: str, threads: int, folder: Path) -> Case:
    model = build(config).eval()
    images, table = _inputs(config, cameras)
    path = folder / f"{axis}-{value.replace(' ', '')}.onnx"
    export(model, path, cameras, table)
    call = RUNTIMES[runtime](path.read_bytes(), {"images": images[None], "plan": table[None]}, threads)
    gflop = operations(Deployed(model), torch.from_numpy(images)[None], torch.from_numpy(table)[None]) / 1e9
    return axis, value, gflop, call


def _inputs(config: ModelConfig, cameras: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    rig = [model_camera(camera, config) for camera in (nuscenes_rig() * 2)[:cameras]]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    size = (cameras, 3, config.image_height, config.image_width)
    images = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    return images, plan(config, K, poses, np.ones(cameras, bool))
