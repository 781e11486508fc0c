# SPDX-License-Identifier: Apache-2.0
"""One world rendered as one nuScenes scene: pictures and sweeps on disk, records of all tables in a dictionary.

Poses are in the world's own map frame; `assemble` moves them to the place that the world gets in its city. They are
planar, as those of nuScenes: relief and suspension show in pictures, points and the heights of boxes only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.from_world import NUSCENES_OFFSETS_S
from mapkd_core.bags.write import encode_jpeg
from mapkd_core.data.nuscenes_worlds.annotations import Annotations
from mapkd_core.data.nuscenes_worlds.map_records import map_records
from mapkd_core.data.nuscenes_worlds.recipe import Recipe, World
from mapkd_core.data.nuscenes_worlds.tables import LIDAR, SceneTables
from mapkd_core.geometry import apply, from_euler, inverse, transform
from mapkd_core.types import Camera
from mapkd_core.worlds import drive, procedural, road_map_file
from mapkd_core.worlds.lidar.sensor import MOUNT
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.rig import nuscenes_rig, scaled
from mapkd_core.worlds.road_map import RoadMap

SWEEP_S = 0.05  # the LiDAR turns 20 times a second
# A sample's time is that of its LiDAR, which has just passed the last camera.
CAMERA_S = {name: offset - 0.0356 for name, offset in NUSCENES_OFFSETS_S.items()}
# nuScenes' LiDAR frame has x right and y forward; the rendered sensor is mounted as MOUNT says.
EGO_T_LIDAR = MOUNT @ transform(from_euler(0.0, 0.0, -np.pi / 2), (0.0, 0.0, 0.0))


def write_scene(root: Path, world: World, number: int, recipe: Recipe) -> dict[str, Any]:
    """Render scene `number` of a set into `root`; returns its records, JSON-ready. ValueError without a drive."""
    road_map = procedural.make_road_map(world.seed) if world.path is None else road_map_file.load(world.path)
    rig = scaled(nuscenes_rig(), recipe.width, recipe.height)
    tables = SceneTables(world.name, world.city, start_us=(1_700_000_000 + 3600 * number) * 1_000_000)
    tables.add_sensors({camera.name: (camera.ego_T_camera, camera.K) for camera in rig} | {LIDAR: (EGO_T_LIDAR, None)})
    annotations = Annotations(road_map, world.name)
    renderer = Renderer(road_map, world.seed, lidar_sweeps=1)
    times = key_times(road_map, recipe)
    for index, time_s in enumerate(times):
        sample = tables.add_sample(time_s - times[0])
        points = _write_pictures(root, tables, sample, renderer, rig, time_s, time_s - times[0], recipe.jpeg_quality)
        for turn in range(recipe.sweeps, 0, -1):
            _write_sweep(root, tables, sample, renderer, time_s - turn * SWEEP_S, times[0])
        annotations.add(sample, time_s, drive.pose_at(road_map, time_s), points, renderer.relief)
        if index == len(times) - 1:
            tables.close()
    return {
        "name": world.name, "split": world.split, "city": world.city, "labelled": list(road_map.labelled),
        "seed": world.seed, "bounds": _bounds(road_map), "files": tables.files,
        "tables": tables.rows | annotations.finished(), "map": map_records(road_map, world.name),
        "sd": [{"highway": kind, "points": line.tolist()} for kind, line in zip(_types(road_map), road_map.sd_roads)],
        "licence": road_map.licence,
    }  # fmt: skip


def key_times(road_map: RoadMap, recipe: Recipe) -> list[float]:
    """Times of the key frames on the drive's clock: every camera and sweep lies within the drive."""
    first = float(road_map.ego[0, 0]) + max(recipe.sweeps * SWEEP_S, -min(CAMERA_S.values()))
    count = min(recipe.frames, int((float(road_map.ego[-1, 0]) - first) * recipe.rate_hz + 1e-9) + 1)
    if count < 1 or first > road_map.ego[-1, 0]:
        raise ValueError(f"road map {road_map.name!r}: its drive ends before the first key frame at {first:.2f} s")
    return [first + i / recipe.rate_hz for i in range(count)]


def _write_pictures(
    root: Path,
    tables: SceneTables,
    sample: str,
    renderer: Renderer,
    rig: tuple[Camera, ...],
    time_s: float,
    since_s: float,
    jpeg_quality: int,
) -> NDArray[np.float32]:
    """Key frames of all sensors; returns the points in the ego frame."""
    frame = renderer.frame(time_s, rig, [time_s + CAMERA_S[camera.name] for camera in rig])
    assert frame.points is not None
    for camera in frame.cameras:
        offset = CAMERA_S[camera.name]
        pose = drive.pose_at(renderer.road_map, time_s + offset)
        name = tables.add_capture(sample, camera.name, since_s + offset, pose, (camera.width, camera.height))
        _write(root / name, encode_jpeg(np.ascontiguousarray(camera.image), jpeg_quality))
    name = tables.add_capture(sample, LIDAR, since_s, drive.pose_at(renderer.road_map, time_s))
    _write(root / name, lidar_bytes(frame.points))
    return frame.points


def _write_sweep(
    root: Path, tables: SceneTables, sample: str, renderer: Renderer, time_s: float, start_s: float
) -> None:
    points = renderer.frame(time_s, ()).points
    assert points is not None
    pose = drive.pose_at(renderer.road_map, time_s)
    _write(root / tables.add_capture(sample, LIDAR, time_s - start_s, pose, is_key=False), lidar_bytes(points))


def lidar_bytes(points: NDArray[np.float32]) -> bytes:
    """Ego points (P x 5 or more: x y z intensity ring) as a LIDAR_TOP file: float32 rows in the LiDAR's frame."""
    rows = points[:, :5].astype("<f4")
    rows[:, :3] = apply(inverse(EGO_T_LIDAR), points[:, :3])
    return rows.tobytes()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _bounds(road_map: RoadMap) -> list[float]:
    lines = [*road_map.boundaries, *road_map.dividers, *road_map.crossings, road_map.ego[:, 1:3]]
    xy = np.concatenate(lines)
    return [*xy.min(0).tolist(), *xy.max(0).tolist()]


def _types(road_map: RoadMap) -> tuple[str, ...]:
    return road_map.sd_road_types or ("road",) * len(road_map.sd_roads)
