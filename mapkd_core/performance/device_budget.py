# SPDX-License-Identifier: Apache-2.0
"""The budget of a frame on a GPU, in each precision: copies, forward, JPEG to polylines, waits, memory and ceilings.

All but the reading of the GPU's clock and memory runs on CPU tensors, too, which is how it is tested without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.bench import machine
from mapkd_core.bench.recorded import jpegs as recorded_jpegs
from mapkd_core.bench.stages import moved, rendered_frame
from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.data.prepare import prepare
from mapkd_core.data.reduced import reduction_for
from mapkd_core.mapper import SHIPPED, Mapper
from mapkd_core.models.build import plan
from mapkd_core.models.inference import GPU_BACKENDS, check_device
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.performance import device_ceilings, parts, ways
from mapkd_core.performance.budget import jpegs
from mapkd_core.performance.device_probe import Memory, elapsed_ms, waits
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.performance.precision import network_for
from mapkd_core.performance.staged import Stage
from mapkd_core.performance.ways_scores import FIRST_SEED, Given, judged, lost, rendered
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.types import Camera, Frame

SCHEMA = 1
QUALITY = 80  # of the JPEGs: what image_transport sends unless told
FRAMES = 5  # of each world
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
    worlds: int = 4,
) -> dict[str, Any]:
    """Measure; JSON-ready. backends: of the GPU, all of them if empty. threads: of the decoder, where the CPU decodes.

    frame, recorded: as in `budget.run`. worlds: whose frames are scored and compared with PyTorch on the CPU. Raises
    ValueError for another backend and a device that is not there.
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
    runners = {name: ways.staged(device)[name].make(model, card, None) for name in rows}
    seeds = range(FIRST_SEED, FIRST_SEED + worlds)
    compared = chain([Given(*inputs)], rendered(seeds, FRAMES, model.config))
    found, reference = judged(runners, model, card.get("vectors", "raster"), compared)
    for name, row in rows.items():
        row |= device_ceilings.shares(row, costs, roofs, GPU_BACKENDS[name])
        row |= {"is_exact": GPU_BACKENDS[name] == "fp32"} | found[name] | lost(found[name], reference)
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
        "ways": rows,  # as `mapkd ship --ways` reads them
        "reference_miou": reference["miou"],
        "reference_map": reference["map"],
        "scored_frames": worlds * FRAMES,
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
        taken = [pipeline(data, moved(cameras, turn)).times_ms for turn in range(_WARM_UP + repeats)][_WARM_UP:]
        times[source] = {stage: spread([row[stage] for row in taken]) for stage in taken[0]}
        counted = waits(partial(pipeline, data), place)
    is_decoder = isinstance(reduction_for(mapper.config, device=mapper.device), OnDevice)
    return {"to_map_ms": times, "waits": counted, "decodes_on": "GPU" if is_decoder else "CPU"}


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
