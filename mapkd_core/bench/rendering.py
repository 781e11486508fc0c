# SPDX-License-Identifier: Apache-2.0
"""How fast worlds are rendered: what a training set costs, and whether a training would wait for its frames.

All workers render at the same time, as `mapkd dataset` does; a frame's time on the machine is that of one worker
divided by their number.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import cv2
import numpy as np

from mapkd_core import processes
from mapkd_core.bench.machine import describe, load
from mapkd_core.config import ModelConfig
from mapkd_core.data import seeds
from mapkd_core.data.prepare import model_camera
from mapkd_core.evaluation.report import table
from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.sampling import chosen_device

WORLDS = 8
# Turns of the LiDAR, and what samples the ground.
RENDERINGS = {"cameras": (0, "cpu"), "cameras and LiDAR": (1, "cpu"), "cameras and two turns of LiDAR": (2, "cpu")}
ON_GPU = {"cameras, ground on the GPU": (0, "cuda")}


def run(frames: int = 10, workers: int | None = None) -> dict[str, Any]:
    """Milliseconds a frame of six cameras at the student's size, and a world's making, on all cores at once.

    frames: of each of WORLDS test worlds, after one that does not count. LiDAR: one turn, and two joined.
    Where there is a CUDA device, cameras are timed with the ground on it, too; making a world then includes that its
    process opens the device. Raises ValueError below one frame.
    """
    if frames < 1:
        raise ValueError(f"frames = {frames}; must be at least 1")
    count = workers or os.cpu_count() or 1
    found, busy = {}, load()
    renderings = RENDERINGS | (ON_GPU if chosen_device("auto") == "cuda" else {})
    with processes.workers(count) as pool:
        for name, (sweeps, device) in renderings.items():
            jobs = range(seeds.SPLITS["test"].start, seeds.SPLITS["test"].start + WORLDS)
            timed = partial(_timed, frames=frames, sweeps=sweeps, device=device)
            worlds, pictures = np.array(list(pool.map(timed, jobs))).T
            found[name] = {
                "frame_ms": round(float(1e3 * np.mean(pictures)) / count, 1),
                "world_ms": round(float(1e3 * np.mean(worlds)) / count, 1),
            }
    return {
        "renderings": found, "worlds": WORLDS, "frames": frames, "workers": count, "load_before": busy,
        "size": [ModelConfig().image_width, ModelConfig().image_height], "machine": describe(count),
    }  # fmt: skip


def markdown(result: dict[str, Any]) -> list[str]:
    """The table, and what it was measured on."""
    rows = [[n, f"{v['frame_ms']:.0f} ms", f"{v['world_ms']:.0f} ms"] for n, v in result["renderings"].items()]
    width, height = result["size"]
    head = [f"on {result['workers']} cores", f"a frame of six {width} x {height}", "making a world"]
    machine = f"{result['machine']['processor']}, load {result['load_before']} before"
    return [*table(head, rows), "", f"Mean over {result['frames']} frames of {result['worlds']} worlds. {machine}."]


def _timed(seed: int, frames: int, sweeps: int, device: str) -> tuple[float, float]:
    """Seconds of making a world, and of one of its frames."""
    cv2.setNumThreads(1)
    start = time.perf_counter()
    road_map = procedural.make_road_map(seed)
    renderer = Renderer(road_map, seed, lidar_sweeps=sweeps, device=device)
    made = time.perf_counter() - start
    cameras = tuple(model_camera(camera, ModelConfig()) for camera in rig.nuscenes_rig())
    first, *others = np.linspace(1, drive.duration(road_map) - 1, frames + 1)
    renderer.frame(float(first), cameras)
    start = time.perf_counter()
    for time_s in others:
        renderer.frame(float(time_s), cameras)
    return made, (time.perf_counter() - start) / frames
