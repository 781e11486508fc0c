# SPDX-License-Identifier: Apache-2.0
"""One scene of a nuScenes dataset as training samples: pictures at the network's size, truth, LiDAR and priors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mapkd_core.config import ModelConfig
from mapkd_core.data import road_points
from mapkd_core.data.nuscenes.dataset import NuScenesSet
from mapkd_core.data.nuscenes.priors import hd_map, roads_near
from mapkd_core.data.prepare import prepare
from mapkd_core.data.reduced import reduction_for
from mapkd_core.data.samples import POINT_STEPS, Sample
from mapkd_core.data.sd_map import sd_elements
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.truth import local_elements

FARTHEST_M = float(np.iinfo(np.int16).max * POINT_STEPS[0])  # that a stored point can lie


@dataclass(frozen=True)
class Recipe:
    """What a sample holds. Pictures are decoded no larger than the network needs, as in the live node.

    model: the network that will learn: size of pictures, lines or layers. reach: what truth and priors are cut to.
    rules: see `nuscenes.rules`. sweeps: turns of the LiDAR, joined; 0 for none. sd: city -> OpenStreetMap extract,
    empty for no SD prior. hd: see `priors.hd_map`; empty for no HD prior.
    """

    model: ModelConfig
    reach: BevGrid
    rules: str = "ours"
    sweeps: int = 3
    sd: dict[str, Path] = field(default_factory=dict)
    hd: str = ""

    def __post_init__(self) -> None:
        if max(map(abs, self.reach.bounds)) > FARTHEST_M:
            raise ValueError(f"reach of {self.reach.bounds} m: samples store points up to {FARTHEST_M:.0f} m")
        if not 0 <= self.sweeps <= 20:
            raise ValueError(f"sweeps = {self.sweeps}: 0 for no LiDAR, or 1 to 20 turns (20 are one second)")


def scene_samples(dataset: NuScenesSet, scene: str, recipe: Recipe) -> list[Sample]:
    """All key frames of a scene in order of time."""
    tokens = list(dataset.sample_tokens(scene))
    track, reach = np.array([dataset.pose(token)[:2, 3] for token in tokens]), recipe.reach
    city = dataset.location(scene)
    roads = roads_near(dataset.sd_roads(scene, recipe.sd[city]), track, reach) if recipe.sd else ()
    prior = hd_map(dataset, scene, recipe.hd, track, reach) if recipe.hd else None
    samples = []
    for token in tokens:
        pose = dataset.planar_pose(token)
        frame = dataset.frame(token, recipe.sweeps, reduction_for(recipe.model))
        points = frame.points
        if points is not None:
            points = road_points.near(points[:, [0, 1, 2, 3, 5]], reach)
        samples.append(Sample(
            prepare(frame, recipe.model),
            dataset.truth(token, reach, recipe.rules),
            points,
            sd_elements(roads, pose, reach),
            local_elements(prior, pose, reach) if prior is not None else (),
            layers=dataset.layer_truth(token, reach) if recipe.model.overlapping else None,
            labelled=dataset.labelled(scene),
        ))  # fmt: skip
    return samples
