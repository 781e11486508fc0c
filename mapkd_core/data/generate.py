# SPDX-License-Identifier: Apache-2.0
"""Rendered samples in bulk: procedural worlds or given road maps, one file pair a world, on all cores, resumable.

World i of a set is made from seed `first_seed + i`: sets with disjoint seed ranges share no world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mapkd_core import processes
from mapkd_core.config import ModelConfig
from mapkd_core.data.layers import REACH
from mapkd_core.data.prepare import model_camera, prepare
from mapkd_core.data.road_points import near
from mapkd_core.data.samples import SEEN_GRID, TRUTH_GRID, Sample, write
from mapkd_core.worlds import drive, procedural, rig, road_map_file
from mapkd_core.worlds.layers import local_layers
from mapkd_core.worlds.priors.hd import damaged
from mapkd_core.worlds.priors.local import local_hd, local_sd
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.sampling import chosen_device
from mapkd_core.worlds.truth import local_elements
from mapkd_core.worlds.visibility import seen_cells

HD_LEVELS = ("fresh", "aged", "poor")  # of worlds.priors.hd, in turns over the worlds: a prior is never to be trusted


def generate(
    out: Path,
    worlds: int,
    frames: int,
    first_seed: int,
    config: ModelConfig,
    maps: Sequence[Path] = (),
    workers: int | None = None,
    lidar_sweeps: int = 0,
    seen: bool = False,
    device: str = "cpu",
) -> None:
    """Write `worlds` worlds of `frames` frames each; those already there are kept.

    maps: road-map files to render instead of procedural roads; world i uses maps[i % len(maps)] with a look of its own.
    lidar_sweeps: > 0 adds what teachers get: so many joined turns of the LiDAR, and both map priors.
    seen: adds which ground the cameras see, for evaluations; all that stands up is drawn once more for it.
    device: cpu, cuda or auto, as of `Renderer`; all workers share the GPU.
    A network of layers gets the truth of those that are known.
    """
    device = chosen_device(device)
    todo = [i for i in range(worlds) if not (out / f"{_name(first_seed + i)}.truth.npz").is_file()]
    make = partial(
        _write_world, out=out, frames=frames, first_seed=first_seed, config=config, maps=tuple(maps),
        lidar_sweeps=lidar_sweeps, seen=seen, device=device,
    )  # fmt: skip
    with processes.workers(workers) as pool:
        for _ in tqdm(pool.map(make, todo), total=len(todo), desc=f"worlds for {out.name}", unit="world"):
            pass


def world_samples(
    road_map: RoadMap,
    seed: int,
    frames: int,
    config: ModelConfig,
    lidar_sweeps: int = 0,
    seen: bool = False,
    device: str = "cpu",
) -> list[Sample]:
    """`frames` samples at random times of the drive, in order of time, each with a slightly different mounting."""
    rng = np.random.default_rng((seed, 77))
    cameras = rig.perturbed(rig.nuscenes_rig(), rng)
    cameras = tuple(model_camera(camera, config) for camera in cameras)
    renderer = Renderer(road_map, seed, lidar_sweeps=lidar_sweeps, device=device)
    prior = damaged(road_map, HD_LEVELS[seed % len(HD_LEVELS)], seed) if lidar_sweeps else None
    times = np.sort(rng.uniform(0, drive.duration(road_map), frames))
    samples = []
    for time_s in times:
        frame = renderer.frame(float(time_s), cameras)
        pose = drive.pose_at(road_map, float(time_s))
        elements = local_elements(road_map, pose, TRUTH_GRID)
        relief = renderer.relief.seen_from(pose)
        light, labelled = renderer.look.light, tuple(road_map.labelled)
        sample = Sample(prepare(frame, config), elements, light=light, relief=relief, labelled=labelled)
        if config.overlapping:
            sample = replace(sample, layers=local_layers(road_map, pose, REACH))
        if seen:
            sample = replace(sample, seen=seen_cells(renderer, float(time_s), cameras, SEEN_GRID))
        if prior is not None and frame.points is not None:
            points = near(frame.points[:, [0, 1, 2, 3, 5]], REACH if config.overlapping else TRUTH_GRID)
            sd, hd = local_sd(road_map, pose, TRUTH_GRID), local_hd(prior, pose, TRUTH_GRID)
            sample = replace(sample, points=points, sd=sd, hd=hd)
        samples.append(sample)
    return samples


def _write_world(
    i: int,
    out: Path,
    frames: int,
    first_seed: int,
    config: ModelConfig,
    maps: tuple[Path, ...],
    lidar_sweeps: int,
    seen: bool,
    device: str,
) -> None:
    cv2.setNumThreads(1)
    seed = first_seed + i
    road_map = road_map_file.load(maps[i % len(maps)]) if maps else procedural.make_road_map(seed)
    write(out, _name(seed), world_samples(road_map, seed, frames, config, lidar_sweeps, seen, device))


def _name(seed: int) -> str:
    return f"{seed:08d}"
