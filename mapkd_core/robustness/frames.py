# SPDX-License-Identifier: Apache-2.0
"""The frames that are made worse, each with its truth and with what its cameras saw a moment before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.data.samples import SampleFolder
from mapkd_core.evaluation.rendered import clip_all, sample_frame
from mapkd_core.robustness.conditions import CAMERAS
from mapkd_core.types import CLASSES, Frame, MapElement

EARLIER_S = 0.5  # before the frame, for rendered ones


@dataclass(frozen=True)
class KnownFrame:
    """token: names it. earlier: the same cameras a moment before. truth: clipped to the grid of the network."""

    token: str
    frame: Frame
    earlier: Frame
    truth: tuple[MapElement, ...]
    labelled: tuple[str, ...] = CLASSES


def recorded(folder: Path, count: int, config: ModelConfig) -> Iterator[KnownFrame]:
    """At most `count` frames of a folder of samples, evenly spread.

    Earlier is the frame before of the same world (for its first one, the frame after): seconds in roads-v1. Raises
    FileNotFoundError without samples, ValueError for another rig than six cameras.
    """
    samples = SampleFolder(folder)
    for i in np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)).tolist():
        world = samples.index[i][0]
        before = next((j for j in (i - 1, i + 1) if 0 <= j < len(samples) and samples.index[j][0] == world), i)
        truth = clip_all(samples.elements(i), config.grid)
        yield KnownFrame(samples.token(i), _named(samples, i), _named(samples, before), truth, samples.labelled(i))


def rendered(first_seed: int, worlds: int, count: int, config: ModelConfig) -> Iterator[KnownFrame]:
    """`count` frames over procedural worlds from `first_seed` on, at the size of the network."""
    from mapkd_core.worlds import drive, procedural, rig
    from mapkd_core.worlds.render import Renderer
    from mapkd_core.worlds.truth import local_elements

    cameras = [model_camera(camera, config) for camera in rig.nuscenes_rig()]
    for world, share in enumerate(np.diff(np.linspace(0, count, worlds + 1).round().astype(int)).tolist()):
        road_map = procedural.make_road_map(first_seed + world)
        renderer = Renderer(road_map, first_seed + world)
        start_s, length_s = float(road_map.ego[0, 0]), drive.duration(road_map)
        for number in range(share):
            time_s = start_s + EARLIER_S + (number + 0.5) / share * (length_s - EARLIER_S)
            truth = local_elements(road_map, drive.pose_at(road_map, time_s), config.grid)
            frame, earlier = (renderer.frame(t, cameras) for t in (time_s, time_s - EARLIER_S))
            yield KnownFrame(f"{road_map.name}-{number}", frame, earlier, tuple(truth), road_map.labelled)


def _named(samples: SampleFolder, i: int) -> Frame:
    frame = sample_frame(samples[i])
    if len(frame.cameras) != len(CAMERAS):
        raise ValueError(f"{samples.folder}: {len(frame.cameras)} cameras; the positions are those of {len(CAMERAS)}")
    named = tuple(replace(camera, name=name) for camera, name in zip(frame.cameras, CAMERAS, strict=True))
    return replace(frame, cameras=named)
