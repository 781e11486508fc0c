# SPDX-License-Identifier: Apache-2.0
"""The budget of a frame on a GPU, in each precision: copies, forward, JPEG to polylines, waits, memory and ceilings.

All but the reading of the GPU's clock and memory runs on CPU tensors, too, which is how it is tested without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.bench import machine
from mapkd_core.bench.recorded import jpegs as recorded_jpegs
from mapkd_core.bench.stages import rendered_frame
from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.data.prepare import prepare
from mapkd_core.data.reduced import reduction_for
from mapkd_core.mapper import SHIPPED, Mapper
from mapkd_core.models.build import plan
from mapkd_core.models.inference import GPU_BACKENDS, check_device
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.performance import ceilings, device_ceilings, parts
from mapkd_core.performance.budget import jpegs
from mapkd_core.performance.device_probe import Memory, elapsed_ms, waits
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.performance.precision import PRECISIONS, network_for
from mapkd_core.performance.staged import Stage
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.types import Camera, Frame

SCHEMA = 1
QUALITY = 80  # of the JPEGs: what image_transport sends unless told
_WARM_UP = 3
Sources = Mapping[str, tuple[Sequence[Camera], Sequence[bytes]]]  # cameras and a JPEG of each, by name


def run(
    weights: Path | None = None,
    device: str = "cuda",
    backends: Sequence[str] = (),
    repeats: int = 200,
    threads: int | None = None,
    frame: Frame | None = None,
    recorded: FrameFolder | None = None,
) -> dict[str, Any]:
    """Measure; JSON-ready. backends: of the GPU, all of them if empty. threads: of the decoder, where the CPU decodes.

    frame, recorded: as in `budget.run`. Raises ValueError for another backend and a device that is not there.
    """
    check_device(device)
    if unknown := set(backends) - set(GPU_BACKENDS):
        raise ValueError(f"backend {', '.join(sorted(unknown))} is not of a GPU; known: {', '.join(GPU_BACKENDS)}")
    count, place, before = threads or default_threads(), torch.device(device), machine.load()
    given = frame or rendered_frame()
    sources = {f"quality {QUALITY}": (given.cameras, jpegs(given, QUALITY))}
    if recorded is not None:
        sources["recorded"] = (recorded.frame.cameras, recorded_jpegs(recorded))
    model, card = load_weights(weights or SHIPPED)
    prepared = prepare(given, model.config)
    inputs = prepared.images, plan(model.config, prepared.K, prepared.ego_T_camera, prepared.valid)
    memory, rows = Memory(place), {}
    for name in backends or GPU_BACKENDS:
        memory.restart()
        rows[name] = _to_map(Mapper(weights, name, device, threads=count), sources, count, repeats, place)
        rows[name]["memory_mib"] = memory.peak_mib()  # before the steps make a graph of their own
        rows[name] |= _steps(model, inputs, place, GPU_BACKENDS[name], repeats)
    roofs = device_ceilings.measured(place, dict.fromkeys(GPU_BACKENDS[name] for name in rows))
    costs = parts.costs(model, *inputs)
    for name, row in rows.items():
        row |= _shares(row, costs, roofs, GPU_BACKENDS[name])
    return {
        "schema": SCHEMA,
        "sha256": card["sha256"],
        "machine": machine.describe(count)
        | (machine.describe_gpu(device) if place.type == "cuda" else {"gpu": None})
        | {"load_before": before, "load_after": machine.load()},
        "cameras": len(given.cameras),
        "picture": [given.cameras[0].width, given.cameras[0].height],
        "jpeg_bytes": {name: int(np.mean([len(j) for j in data])) for name, (_, data) in sources.items()},
        "ceilings": roofs,
        "backends": rows,
    }


def spread(times_ms: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    found = zip(("p50", "p95", "p99"), np.percentile(times_ms, (50, 95, 99)), strict=True)
    return {name: float(f"{ms:.4g}") for name, ms in found} | {"repeats": len(times_ms)}


def _to_map(mapper: Mapper, sources: Sources, threads: int, repeats: int, place: torch.device) -> dict[str, Any]:
    """JPEGs to polylines, stage by stage; and how often a frame waits besides for its answers."""
    times, counted = {}, None
    for source, (cameras, data) in sources.items():
        pipeline = JpegPipeline(mapper, cameras, threads)
        taken = [pipeline(data, _moved(cameras, turn)).times_ms for turn in range(_WARM_UP + repeats)][_WARM_UP:]
        times[source] = {stage: spread([row[stage] for row in taken]) for stage in taken[0]}
        counted = waits(partial(pipeline, data), place)
    is_decoder = isinstance(reduction_for(mapper.config, device=mapper.device), OnDevice)
    return {"to_map_ms": times, "waits": counted, "decodes_on": "GPU" if is_decoder else "CPU"}


def _moved(cameras: Sequence[Camera], turn: int) -> list[Camera]:
    """Where a vehicle that drives has them: so every frame is planned anew."""
    moved = np.eye(4)
    moved[0, 3] = 0.001 * turn
    return [replace(camera, ego_T_camera=moved @ camera.ego_T_camera) for camera in cameras]


def _steps(
    model: MapModel, inputs: tuple[NDArray, NDArray], device: torch.device, precision: str, repeats: int
) -> dict[str, Any]:
    """Copy up of pictures and plan, the network, and copy down of the answers: each alone, on a frame's own buffers."""
    stage = Stage(network_for(model, device, precision), *inputs, device, precision)
    calls = {"up_ms": stage.upload, "forward_ms": stage.forward, "down_ms": stage.download}
    with stage.on_stream():
        rounds = [{n: elapsed_ms(call, device) for n, call in calls.items()} for _ in range(_WARM_UP + repeats)]
    steps: dict[str, Any] = {name: spread([row[name] for row in rounds[_WARM_UP:]]) for name in calls}
    up, down = stage.transferred_bytes
    return steps | {"up_mb": round(up / 1e6, 3), "down_mb": round(down / 1e6, 3)}


def _shares(
    row: Mapping[str, Any], costs: Mapping[str, Mapping[str, float]], roofs: Mapping[str, Any], precision: str
) -> dict[str, float]:
    """Of the ceilings. floor_ms: the parts of the network one after the other; bf16 and fp16 move half of the bytes."""
    roof = {"conv_gflops": roofs["conv_gflops"][precision], "bandwidth_gbs": roofs["bandwidth_gbs"]}
    half = 0.5 if PRECISIONS[precision] else 1.0
    floors = [ceilings.floor_ms(c | {"moved_mb": half * c["moved_mb"]}, roof) for c in map(dict, costs.values())]
    gflop, taken = sum(cost["gflop"] for cost in costs.values()), row["forward_ms"]["p50"]
    speed = gflop / taken * 1e3
    return {
        "gflop": round(gflop, 3),
        "gflops": round(speed, 1),
        "share_of_ceiling": round(speed / roof["conv_gflops"], 4),
        "floor_ms": float(f"{sum(floors):.4g}"),
        "share_of_floor": round(sum(floors) / taken, 4),
        "share_of_up": round(row["up_mb"] / row["up_ms"]["p50"] / roofs["up_gbs"], 4),
        "share_of_down": round(row["down_mb"] / row["down_ms"]["p50"] / roofs["down_gbs"], 4),
    }
