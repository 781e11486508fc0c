# SPDX-License-Identifier: Apache-2.0
"""What makes a map of a frame inside the node: mapkd_core's Mapper, or what a test puts in its place."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mapkd_core.data.reduced import Fitted
from mapkd_core.types import Frame, LocalMap
from mapkd_ros.parameter_groups import ModelParameters

if TYPE_CHECKING:
    from mapkd_core.mapper import Mapper


class Predictor(Protocol):
    """What the node needs of mapkd_core.mapper.Mapper.

    Optional: model_id; config, by which JPEGs are decoded no larger than the network needs; modalities, of lidar, sd,
    hd what it takes beside the cameras; set_min_confidence(value or None), which changes the threshold between two
    predictions; expect(poses of the cameras), which is told of the next frame before its pictures are there;
    ahead(picture), which is given each as it comes, and gives it back with what the network made of it.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the layers."""

    def predict(self, frame: Frame) -> LocalMap: ...


def make_predictor(parameters: ModelParameters, cameras: int = 6) -> Predictor:
    """The product's Mapper, warm for a rig of so many; ValueError or FileNotFoundError for weights that do not fit."""
    from mapkd_core.mapper import Mapper

    mapper = Mapper(
        Path(parameters.weights).expanduser() if parameters.weights else None,
        parameters.backend,
        parameters.device,
        parameters.vectors,
        min_confidence=parameters.confidence(),
        threads=parameters.threads or None,
    )
    if parameters.warm_up:
        _warm_up(mapper, black_frame(cameras))
    return mapper


def _warm_up(mapper: Mapper, frame: Frame) -> None:
    """As a frame whose pictures come together, and as one whose pictures are seen ahead."""
    mapper.predict(frame)
    black, config = np.zeros((mapper.config.image_height, mapper.config.image_width, 3), np.uint8), mapper.config
    seen = [mapper.ahead(Fitted(black, (c.width, c.height), config)).of(c) for c in frame.cameras]
    if any(camera.is_held for camera in seen):
        mapper.predict(replace(frame, cameras=tuple(seen)))


def black_frame(cameras: int = 6) -> Frame:
    """The nuScenes rig at night: what the first prediction allocates and compiles does not cost a real frame.

    Of as many cameras as the vehicle has: a Mapper is fast for the largest rig that it has seen, and pays for it.
    """
    from mapkd_core.worlds.rig import nuscenes_rig

    rig = islice(cycle(nuscenes_rig()), cameras)
    return Frame(tuple(replace(c, image=np.zeros((c.height, c.width, 3), np.uint8)) for c in rig))
