# SPDX-License-Identifier: Apache-2.0
"""Rendered samples in bulk: procedural worlds or given road maps, one file pair a world, on all cores, resumable.

World i of a set is made from seed `first_seed + i`: sets with disjoint seed ranges share no world.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera, prepare
from mapkd_core.data.samples import TRUTH_GRID, Sample, write
from mapkd_core.worlds import drive, procedural, rig, road_map_file
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.truth import local_elements


def generate(
    out: Path,
    worlds: int,
    frames: int,
    first_seed: int,
    config: ModelConfig,
    maps: Sequence[Path] = (),
    workers: int | None = None,
) -> None:
    """Write `worlds` worlds of `frames` frames each; those already there are kept.

    maps: road-map files to render instead of procedural roads; world i uses maps[i % len(maps)] with a look of its own.
    """
    todo = [i for i in range(worlds) if not (out / f"{_name(first_seed + i)}.truth.npz").is_file()]
    make = partial(_write_world, out=out, frames=frames, first_seed=first_seed, config=config, maps=tuple(maps))
    count = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        for _ in tqdm(pool.map(make, todo), total=len(todo), desc=f"worlds for {out.name}", unit="world"):
            pass


def world_samples(road_map: RoadMap, seed: int, frames: int, config: ModelConfig) -> list[Sample]:
    """`frames` samples at random times of the drive, in order of time, each with a slightly different mounting."""
    rng = np.random.default_rng((seed, 77))
    cameras = rig.perturbed(rig.nuscenes_rig(), rng)
    cameras = tuple(model_camera(camera, config) for camera in cameras)
    renderer = Renderer(road_map, seed)
    times = np.sort(rng.uniform(0, drive.duration(road_map), frames))
    samples = []
    for time_s in times:
        frame = renderer.frame(float(time_s), cameras)
        truth = local_elements(road_map, drive.pose_at(road_map, float(time_s)), TRUTH_GRID)
        samples.append(Sample(prepare(frame, config), truth))
    return samples


def _write_world(i: int, out: Path, frames: int, first_seed: int, config: ModelConfig, maps: tuple[Path, ...]) -> None:
    cv2.setNumThreads(1)
    seed = first_seed + i
    road_map = road_map_file.load(maps[i % len(maps)]) if maps else procedural.make_road_map(seed)
    write(out, _name(seed), world_samples(road_map, seed, frames, config))


def _name(seed: int) -> str:
    return f"{seed:08d}"
