# SPDX-License-Identifier: Apache-2.0
"""What it costs to map a fleet's logs again: frames a second that a core makes, and 1,000 km on paper from it.

Measured as `mapkd predict --bags` works: one process a core, one thread each, all at once, from six JPEGs to a map,
every frame planned anew. Reading is in what is measured beside it, that command itself on a few bags (`bag_scaling`);
sending over a network is in neither.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from mapkd_core import processes
from mapkd_core.bench import machine
from mapkd_core.bench.recorded import jpegs as recorded_jpegs
from mapkd_core.bench.stages import rendered_frame
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.geometry import planar
from mapkd_core.mapper import Mapper
from mapkd_core.performance import bag_scaling
from mapkd_core.performance.budget import jpegs
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.types import Camera, Frame

DISTANCE_KM = 1000.0
SAMPLINGS_HZ = (12.0, 2.0)  # every picture of nuScenes' cameras, and its key frames
SPEEDS_KMH = (30.0, 80.0)  # average speeds, stops included: a town, and country roads with motorways
PRICE = 0.05  # of a core hour, any currency: an assumption, to be replaced by one's own
QUALITY = 80  # of the JPEGs; what image_transport sends unless told
_READY_S = 0.5


def run(
    weights: Path | None = None,
    frames: int = 30,
    workers: int | None = None,
    speeds_kmh: Sequence[float] = SPEEDS_KMH,
    price: float = PRICE,
    frame: Frame | None = None,
    recorded: FrameFolder | None = None,
    backend: str = "auto",
) -> dict[str, Any]:
    """Measure, and tabulate; JSON-ready. frames: that each process maps, and of each bag. backend: of the network.

    frame: with pictures, which are made JPEGs; a rendered one if absent. recorded: its JPEGs are mapped instead.
    Raises ValueError for a count, a speed or a price that is not positive, and as `bench.recorded.jpegs` does.
    """
    if frames < 1 or price <= 0 or not speeds_kmh or min(speeds_kmh) <= 0:
        raise ValueError(f"frames {frames}, speeds {list(speeds_kmh)} km/h, price {price}: all must be positive")
    count, before = workers or os.cpu_count() or 1, machine.load()
    given = recorded.frame if recorded else frame or rendered_frame()
    data = recorded_jpegs(recorded) if recorded else jpegs(given, QUALITY)
    cameras = tuple(replace(camera, image=None) for camera in given.cameras)
    with processes.workers(count) as pool:
        job = partial(_rate, weights, backend, cameras, data)
        list(pool.map(job, [1] * count, [0.0] * count))  # networks are loaded
        rates = list(pool.map(job, [frames] * count, [time.time() + _READY_S] * count))
    rate = sum(rates) / count
    options = ["--backend", backend, *(["--weights", str(weights)] if weights else [])]
    bags = bag_scaling.run(cameras, data, frames, count, options) if count > 1 else None
    load = {"load_before": before, "load_after": machine.load()}
    return {
        "schema": 1,
        "machine": machine.describe(count) | load,
        "cameras": len(cameras),
        "picture": [cameras[0].width, cameras[0].height],
        "jpeg_bytes": sum(map(len, data)) // len(data),
        "is_planned_anew": True,
        "frames_per_s_per_core": round(rate, 3),
        "price_per_core_hour": price,
        "rows": [on_paper(rate, hz, speed, price) for hz in SAMPLINGS_HZ for speed in speeds_kmh],
        "several_bags": bags,
    }


def on_paper(frames_per_s: float, sampling_hz: float, speed_kmh: float, price: float) -> dict[str, float]:
    """1,000 km at an average speed, of which `sampling_hz` frames a second are mapped at `frames_per_s` a core."""
    frames = DISTANCE_KM / speed_kmh * 3600 * sampling_hz
    core_hours = frames / frames_per_s / 3600
    return {
        "sampling_hz": sampling_hz,
        "speed_kmh": speed_kmh,
        "frames": round(frames),
        "core_hours": round(core_hours, 2),
        "cost": round(core_hours * price, 3),
        "cores_per_vehicle": round(sampling_hz / frames_per_s, 2),
    }


def _rate(
    weights: Path | None,
    backend: str,
    cameras: tuple[Camera, ...],
    data: list[bytes],
    frames: int,
    start_at_s: float,
) -> float:
    """Frames a second of this process, begun at a moment (Unix time) at which the others begin, too.

    From a vehicle that drives: no camera is ever quite where it was, so the view transform is planned for every frame.
    """
    pipeline = JpegPipeline(_mapper(weights, backend), cameras, threads=1)
    time.sleep(max(0.0, start_at_s - time.time()))
    begin_s = time.perf_counter()
    for turn in range(frames, 0, -1):  # backwards: the call before, of one frame, ended where no other begins
        moved = planar(0.001 * turn, 0.0, 0.0)
        pipeline(data, [replace(camera, ego_T_camera=moved @ camera.ego_T_camera) for camera in cameras])
    return frames / (time.perf_counter() - begin_s)


@lru_cache(maxsize=1)
def _mapper(weights: Path | None, backend: str) -> Mapper:
    import torch

    torch.set_num_threads(1)
    return Mapper(weights, backend, "cpu", threads=1)
