# SPDX-License-Identifier: Apache-2.0
"""What it costs to map a fleet's logs again: frames a second that a core makes, and 1,000 km on paper from it.

Measured as `mapkd predict --bags` works: one process a core, one thread each, all at once, from six JPEGs to a map.
Reading from disk and sending over a network are not in it.
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
from mapkd_core.bench.stages import rendered_frame
from mapkd_core.mapper import Mapper
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
) -> dict[str, Any]:
    """Measure, and tabulate; JSON-ready. frames: that each process maps. frame: with pictures; rendered if absent.

    Raises ValueError for a count, a speed or a price that is not positive.
    """
    if frames < 1 or price <= 0 or not speeds_kmh or min(speeds_kmh) <= 0:
        raise ValueError(f"frames {frames}, speeds {list(speeds_kmh)} km/h, price {price}: all must be positive")
    given, count, before = frame or rendered_frame(), workers or os.cpu_count() or 1, machine.load()
    data, cameras = jpegs(given, QUALITY), tuple(replace(camera, image=None) for camera in given.cameras)
    with processes.workers(count) as pool:
        job = partial(_rate, weights, cameras, data)
        list(pool.map(job, [1] * count, [0.0] * count))  # networks are loaded, plans made
        rates = list(pool.map(job, [frames] * count, [time.time() + _READY_S] * count))
    rate = sum(rates) / count
    load = {"load_before": before, "load_after": machine.load()}
    return {
        "schema": 1,
        "machine": machine.describe(count) | load,
        "cameras": len(cameras),
        "picture": [cameras[0].width, cameras[0].height],
        "frames_per_s_per_core": round(rate, 3),
        "price_per_core_hour": price,
        "rows": [on_paper(rate, hz, speed, price) for hz in SAMPLINGS_HZ for speed in speeds_kmh],
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
    weights: Path | None, cameras: tuple[Camera, ...], data: list[bytes], frames: int, start_at_s: float
) -> float:
    """Frames a second of this process, begun at a moment (Unix time) at which the others begin, too."""
    mapper = _mapper(weights)
    pipeline = JpegPipeline(mapper, cameras, threads=1)
    time.sleep(max(0.0, start_at_s - time.time()))
    begin_s = time.perf_counter()
    for _ in range(frames):
        pipeline(data)
    return frames / (time.perf_counter() - begin_s)


@lru_cache(maxsize=1)
def _mapper(weights: Path | None) -> Mapper:
    import torch

    torch.set_num_threads(1)
    return Mapper(weights, device="cpu", threads=1)
