# SPDX-License-Identifier: Apache-2.0
"""Networks and batches that the tests of schemes share: each is made once, by a seed of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from mapkd_core.config import ModelConfig, TrainConfig
from mapkd_core.data.batch import Batch, collate, to_batch
from mapkd_core.data.prepare import Prepared
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel

CAMERAS = [0, 3]  # of the rig: two are enough for a view that takes any number


@pytest.fixture(scope="session")
def teacher_config(tiny) -> ModelConfig:
    """Knows all, and is wider than the student."""
    return replace(tiny, bev_width=12, modalities=("camera", "lidar", "sd", "hd"), lidar_width=8, prior_width=16)


@pytest.fixture(scope="session")
def coach_config(teacher_config) -> ModelConfig:
    """Of a third width."""
    return replace(teacher_config, bev_width=16, modalities=("camera", "sd", "hd"))


@pytest.fixture(scope="session")
def network() -> Callable[[ModelConfig], MapModel]:
    """network(config): the same object each time; leave its weights alone."""

    @cache
    def make(config: ModelConfig) -> MapModel:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build(config)

    return make


@pytest.fixture(scope="session")
def frames(make_sample) -> Callable[..., Batch]:
    """frames(config, cameras): two frames with all that teachers get, and the plan of the network of `config`."""

    @cache
    def make(config: ModelConfig, cameras: int = len(CAMERAS)) -> Batch:
        samples = []
        for shift in (0.0, 0.4):
            sample = make_sample(shift)
            p, kept = sample.prepared, CAMERAS if cameras == len(CAMERAS) else list(range(cameras))
            prepared = Prepared(p.images[kept], p.K[kept], p.ego_T_camera[kept], p.valid[kept])
            points = np.random.default_rng(1).uniform(-3, 3, (50, 5)).astype(np.float32)
            samples.append(replace(sample, prepared=prepared, points=points, hd=sample.elements))
        return collate([to_batch(sample, TrainConfig(model=config)) for sample in samples])

    return make
