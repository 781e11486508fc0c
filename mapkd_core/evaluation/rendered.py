# SPDX-License-Identifier: Apache-2.0
"""Predictions with truth over drives rendered on the fly, a world a task, on all cores; and over folders of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core import processes
from mapkd_core.bags.write import encode_jpeg
from mapkd_core.config import ModelConfig
from mapkd_core.data.fit import covers
from mapkd_core.data.prepare import model_camera
from mapkd_core.data.samples import SEEN_GRID, Sample, SampleFolder
from mapkd_core.data.teacher_inputs import teacher_inputs
from mapkd_core.drawing import Under, contact_sheet
from mapkd_core.grid import BevGrid
from mapkd_core.mapper import Mapper
from mapkd_core.types import Camera, Frame, LocalMap, MapElement
from mapkd_core.worlds import drive, procedural, rig, road_map_file
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.truth import local_elements
from mapkd_core.worlds.visibility import on_grid, seen_cells


@dataclass(frozen=True)
class World:
    """A procedural world made from `seed`, or the road map in `path` with the look of `seed`."""

    seed: int
    path: Path | None = None


@dataclass(frozen=True)
class Predicting:
    """How frames are made and predicted.

    vectors: which of query and raster give polylines; each gives a map of its own. size: width and height of the
    rendered pictures in pixels, None for the network's own. varied_rig: another mounting and focal length per world.
    pictures: draw each frame, for those who look at the worst ones. without: of lidar, sd and hd, what a teacher does
    not get of recorded samples, as a map node that has lost it.
    """

    weights: Path | None = None
    vectors: tuple[str, ...] = ("query", "raster")
    min_confidence: float = 0.0
    backend: str = "auto"
    size: tuple[int, int] | None = None
    varied_rig: bool = False
    pictures: bool = False
    without: tuple[str, ...] = ()


class Predicted(NamedTuple):
    """One frame: where it comes from, the map by each kind of vectors, the truth and the classes it speaks about.

    token: its name. picture: JPEG of the first map over the images and beside the truth, empty where none was asked.
    light: of the world, empty where unknown. seen: bool [Y, X], ground that some camera sees; None where unknown.
    """

    world: str
    maps: dict[str, LocalMap]
    truth: tuple[MapElement, ...]
    labelled: tuple[str, ...]
    token: str = ""
    picture: bytes = b""
    light: str = ""
    seen: NDArray[np.bool_] | None = None


def predict_worlds(
    worlds: Sequence[World], frames: int, how: Predicting, workers: int | None = None
) -> Iterator[list[Predicted]]:
    """The frames of one world after the other, `frames` each, evenly spread over its drive.

    workers: processes, one per core by default; 1 stays in this process.
    """
    if workers == 1:
        yield from (predict_world(world, frames, how) for world in worlds)
        return
    with processes.workers(workers, at_most=len(worlds)) as pool:
        yield from pool.map(partial(predict_world, frames=frames, how=how), worlds)


def predict_world(world: World, frames: int, how: Predicting) -> list[Predicted]:
    """One world in this process, on one thread."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    mappers = mappers_of(how)
    grid, config = next(iter(mappers.values())).grid, next(iter(mappers.values())).config
    road_map = procedural.make_road_map(world.seed) if world.path is None else road_map_file.load(world.path)
    cameras: Sequence[Camera] = rig.nuscenes_rig()
    if how.varied_rig:
        cameras = rig.perturbed(cameras, np.random.default_rng((world.seed, 78)))
    cameras = rig.scaled(cameras, *how.size) if how.size else [model_camera(camera, config) for camera in cameras]
    renderer = Renderer(road_map, world.seed)
    coarse = SEEN_GRID if SEEN_GRID.contains(grid) else grid
    start_s, length_s = float(road_map.ego[0, 0]), drive.duration(road_map)
    predicted = []
    for number, share in enumerate((np.arange(frames) + 0.5) / frames):
        time_s = start_s + float(share) * length_s
        frame = renderer.frame(time_s, cameras)
        truth = local_elements(road_map, drive.pose_at(road_map, time_s), grid)
        token = f"{road_map.name}-{number}"
        made = predict_frame(frame, token, mappers, truth, road_map.labelled, how)
        seen = on_grid(seen_cells(renderer, time_s, cameras, coarse), coarse, grid)
        predicted.append(made._replace(world=road_map.name, light=renderer.look.light, seen=seen))
    return predicted


def predict_frame(
    frame: Frame,
    token: str,
    mappers: dict[str, Mapper],
    truth: tuple[MapElement, ...],
    labelled: tuple[str, ...],
    how: Predicting,
    known: Sequence[NDArray | None] = (),
) -> Predicted:
    """All maps of one frame, with its picture where `how` asks for pictures; `world` is left to the caller."""
    maps = next(iter(mappers.values())).predict_each(frame, tuple(mappers), known)
    picture = b""
    if how.pictures:
        sheet = contact_sheet(frame, next(iter(maps.values())), truth, caption=token, under=Under(frame.points))
        picture = encode_jpeg(sheet, quality=85)
    return Predicted("", maps, truth, labelled, token, picture)


def predict_samples(folder: Path, how: Predicting, limit: int | None = None) -> Iterator[list[Predicted]]:
    """The samples of a folder written by `mapkd dataset`, at most `limit`, evenly spread; one frame at a time.

    Raises ValueError where truth does not reach as far as the network's range, or where the network never gets what it
    is to go without.
    """
    mappers = mappers_of(how)
    grid, config = next(iter(mappers.values())).grid, next(iter(mappers.values())).config
    if unknown := [name for name in how.without if name not in config.modalities]:
        raise ValueError(f"without {unknown[0]}: this network has {', '.join(config.modalities)}")
    samples = SampleFolder(folder)
    if not covers(samples.reach().bounds, grid.bounds):
        raise ValueError(f"truth in {folder} reaches {samples.reach().bounds} m, the network's range {grid.bounds} m: "
                         "write samples for this range (`mapkd nuscenes samples ROOT --range ...`)")  # fmt: skip
    count = min(limit or len(samples), len(samples))
    for i in np.unique(np.linspace(0, len(samples) - 1, count).round().astype(int)):
        sample = samples[int(i)]
        world, number = samples.names[samples.index[int(i)][0]], samples.index[int(i)][1]
        truth = clip_all(sample.elements, grid)
        known = known_inputs(sample, config, how.without)
        frame = predict_frame(sample_frame(sample), f"{world}-{number}", mappers, truth, sample.labelled, how, known)
        seen = None if sample.seen is None else on_grid(sample.seen, SEEN_GRID, grid)
        yield [frame._replace(world=world, light=sample.light, seen=seen)]


def known_inputs(sample: Sample, config: ModelConfig, without: Sequence[str] = ()) -> tuple[NDArray | None, ...]:
    """points, sd, hd and frustum as a network of this config gets them; nothing for one that sees pictures alone."""
    if set(config.modalities) == {"camera"}:
        return ()
    found = teacher_inputs(sample, config, config.modalities)
    lost = {"points" if name == "lidar" else name for name in without}
    return tuple(None if name in lost else found.get(name) for name in ("points", "sd", "hd", "frustum"))


def sample_frame(sample: Sample) -> Frame:
    """The sample as cameras took it: pictures at the network's size, which `prepare` then leaves as they are."""
    p = sample.prepared
    height, width = p.images.shape[-2:]
    cameras = [
        Camera(f"CAM_{i}", np.ascontiguousarray(image.transpose(1, 2, 0)), K, pose, width, height)
        for i, (image, K, pose) in enumerate(zip(p.images, p.K, p.ego_T_camera, strict=True))
    ]
    return Frame(tuple(cameras))


def clip_all(elements: Sequence[MapElement], grid: BevGrid) -> tuple[MapElement, ...]:
    """Truth that reaches farther, cut to the grid."""
    from mapkd_core.data.clipping import clip

    return tuple(part for element in elements for part in clip(element, grid))


@lru_cache(maxsize=1)
def mappers_of(how: Predicting) -> dict[str, Mapper]:
    """One Mapper per kind of vectors; kept, since a process predicts many worlds."""
    return {
        vectors: Mapper(how.weights, how.backend, vectors=vectors, min_confidence=how.min_confidence, threads=1)
        for vectors in how.vectors
    }
