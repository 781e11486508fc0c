# SPDX-License-Identifier: Apache-2.0
"""Render a drive through a road map into a bag: what the demo plays, with the truth of every frame inside."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mapkd_core.bags.priors import drive_priors
from mapkd_core.bags.write import BagWriter, encode_jpeg
from mapkd_core.geometry import inverse
from mapkd_core.grid import BevGrid
from mapkd_core.types import Camera, Frame, MapElement
from mapkd_core.worlds import drive
from mapkd_core.worlds.lidar import sensor
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.rig import nuscenes_rig, scaled
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.truth import local_elements

# A LiDAR that turns triggers nuScenes' cameras as it sweeps past them: seconds relative to CAM_FRONT.
NUSCENES_OFFSETS_S = {
    "CAM_FRONT_LEFT": -0.0076,
    "CAM_FRONT": 0.0,
    "CAM_FRONT_RIGHT": 0.0079,
    "CAM_BACK_RIGHT": 0.0154,
    "CAM_BACK": 0.0251,
    "CAM_BACK_LEFT": 0.0350,
}
START_NS = 1_700_000_000_000_000_000  # stamps must not be zero, which in ROS means "none"


@dataclass(frozen=True)
class WorldDrive:
    """What is rendered: `frames` times of a drive, `start_s` on its clock and then every 1 / rate_hz."""

    road_map: RoadMap
    seed: int
    rig: tuple[Camera, ...]
    grid: BevGrid
    frames: int
    rate_hz: float
    start_s: float
    offsets_s: dict[str, float]
    jpeg_quality: int
    has_lidar: bool


def write_world_drive(
    road_map: RoadMap,
    seed: int,
    path: Path | str,
    duration_s: float = 20.0,
    rate_hz: float = 12.0,
    *,
    image_size: tuple[int, int] = (800, 450),
    rig: Sequence[Camera] | None = None,
    grid: BevGrid | None = None,
    start_s: float | None = None,
    are_cameras_in_turn: bool = True,
    jpeg_quality: int = 90,
    for_teachers: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> int:
    """Render `road_map` with the look of `seed` into a new bag at `path`; returns the number of frames.

    image_size: width and height of every picture. rig: instead of the nominal nuScenes rig. start_s: on the drive's
    clock, its beginning by default; a drive that is too short is rendered up to its end.
    are_cameras_in_turn: cameras fire one after the other over 43 ms as nuScenes' do, instead of all at once.
    for_teachers: add a LiDAR turn to every frame, stamped as it, and the SD and HD prior of the whole drive.
    """
    if duration_s <= 0 or rate_hz <= 0 or workers < 1:
        raise ValueError(f"duration {duration_s} s, rate {rate_hz} Hz, {workers} workers: all must be positive")
    cameras = scaled(rig or nuscenes_rig(), *image_size)
    offsets_s = {camera.name: NUSCENES_OFFSETS_S.get(camera.name, 0.0) * are_cameras_in_turn for camera in cameras}
    # Every camera fires while the drive lasts: before and after it the vehicle would stand still all of a sudden.
    first_s = float(road_map.ego[0, 0]) - min(0.0, *offsets_s.values())
    begin = first_s if start_s is None else max(first_s, start_s)
    left_s = float(road_map.ego[-1, 0]) - max(0.0, *offsets_s.values()) - begin
    frames = int(min(duration_s, left_s) * rate_hz + 1e-9)
    if frames < 1:
        raise ValueError(
            f"road map {road_map.name!r} has no drive left after {begin:.2f} s: it ends at {road_map.ego[-1, 0]:.2f} s"
        )
    world = WorldDrive(
        road_map, seed, cameras, grid or BevGrid(), frames, rate_hz, begin, offsets_s, jpeg_quality, for_teachers
    )
    labelled = road_map.labelled
    with BagWriter(path, rig=cameras, ego_T_lidar=sensor.MOUNT, grid=world.grid, labelled=labelled) as writer:
        rendered = _rendered(world, min(workers, frames))
        for frame, truth, encoded in tqdm(rendered, "rendering", frames, unit="frame", disable=not progress):
            writer.add(frame, truth, encoded=encoded)
            if for_teachers and writer.frames == 1:
                _add_priors(writer, road_map, seed)
    return frames


def _add_priors(writer: BagWriter, road_map: RoadMap, seed: int) -> None:
    priors = drive_priors(road_map, seed)
    writer.add_prior("sd", START_NS, priors.sd, priors.grid)
    writer.add_prior("hd", START_NS, priors.hd, priors.grid)


_Item = tuple[Frame, tuple[MapElement, ...], dict[str, bytes]]


def _rendered(world: WorldDrive, workers: int) -> Iterator[_Item]:
    """Frames in order, rendered by processes that take every `workers`-th one each."""
    if workers == 1:
        yield from _render_share(world, 0, 1)
        return
    # Spawned, not forked: the caller may run threads of OpenCV, torch or DDS.
    context = multiprocessing.get_context("spawn")
    queues = [context.Queue(maxsize=4) for _ in range(workers)]
    processes = [
        context.Process(target=_work, args=(world, share, workers, queues[share]), daemon=True)
        for share in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        for number in range(world.frames):
            yield _next(queues[number % workers], processes[number % workers])
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _next(results: Any, process: Any) -> _Item:
    while True:
        try:
            item = results.get(timeout=1.0)
        except queue.Empty:
            if process.is_alive():
                continue
            raise RuntimeError(
                f"a rendering process ended with code {process.exitcode} (-9: out of memory); use fewer workers"
            ) from None
        if isinstance(item, BaseException):
            raise item
        return item


def _work(world: WorldDrive, share: int, shares: int, results: Any) -> None:
    cv2.setNumThreads(1)  # the processes themselves are the parallelism
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        for item in _render_share(world, share, shares):
            results.put(item)
    except Exception as error:  # handed to the parent, which raises it
        results.put(error)
    results.close()
    results.join_thread()


def _render_share(world: WorldDrive, share: int, shares: int) -> Iterator[_Item]:
    """Frames `share`, `share` + `shares`, ...: poses and truth, with the pictures as JPEG."""
    renderer = Renderer(world.road_map, world.seed, lidar_sweeps=int(world.has_lidar))
    for number in range(share, world.frames, shares):
        time_s = world.start_s + number / world.rate_hz
        stamp_ns = START_NS + round(number / world.rate_hz * 1e9)
        map_T_ego = drive.pose_at(world.road_map, time_s)  # planar, as recorded poses are, whatever the relief
        times = [time_s + world.offsets_s[camera.name] for camera in world.rig]
        seen = renderer.frame(time_s, world.rig, times)
        cameras, encoded = [], {}
        for camera, shown, at_s in zip(world.rig, seen.cameras, times, strict=True):
            encoded[camera.name] = encode_jpeg(np.ascontiguousarray(shown.image), world.jpeg_quality)
            moved = inverse(map_T_ego) @ drive.pose_at(world.road_map, at_s) if at_s != time_s else np.eye(4)
            camera_ns = stamp_ns + round(world.offsets_s[camera.name] * 1e9)
            cameras.append(replace(camera, stamp_ns=camera_ns, ego_T_camera=moved @ camera.ego_T_camera))
        truth = local_elements(world.road_map, map_T_ego, world.grid)
        yield Frame(tuple(cameras), stamp_ns, seen.points, map_T_ego), truth, encoded
