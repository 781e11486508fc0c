# SPDX-License-Identifier: Apache-2.0
"""Predictions with truth over a dataset in nuScenes' format, real or written by `mapkd nuscenes write`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mapkd_core.data.nuscenes import NuScenesSet
from mapkd_core.data.reduced import reduction_for
from mapkd_core.evaluation.rendered import Predicted, Predicting, predict_frame
from mapkd_core.evaluation.shards import Share
from mapkd_core.mapper import Mapper

ALONE = Share()


@dataclass(frozen=True)
class Recorded:
    """Which frames of a dataset: scenes of `split` (all without), from the file `splits` where given; truth by `rules`.

    version: folder of the tables, the only one where not given. frames: at most so many a scene, evenly spread.
    is_reduced: pictures are decoded no larger than the network needs, as in the live node.
    """

    root: Path
    version: str | None = None
    split: str | None = None
    splits: Path | None = None
    rules: str = "ours"
    frames: int | None = None
    is_reduced: bool = True


def predict_nuscenes(
    recorded: Recorded, how: Predicting, share: Share = ALONE
) -> tuple[Iterator[list[Predicted]], int]:
    """The frames of one scene after the other, each with its prediction and truth, and the number of scenes in `share`.

    The dataset is opened here, so that what is wrong with it is said before the first prediction.
    """
    dataset = NuScenesSet(recorded.root, recorded.version)
    scenes = share.of(dataset.scenes(recorded.split, recorded.splits))
    mappers = {
        vectors: Mapper(how.weights, how.backend, vectors=vectors, min_confidence=how.min_confidence)
        for vectors in how.vectors
    }
    return (list(_scene(dataset, scene, recorded, mappers, how)) for scene in scenes), len(scenes)


def _scene(
    dataset: NuScenesSet, scene: str, recorded: Recorded, mappers: dict[str, Mapper], how: Predicting
) -> Iterator[Predicted]:
    tokens = list(dataset.sample_tokens(scene))
    count = min(recorded.frames or len(tokens), len(tokens))
    grid = next(iter(mappers.values())).grid
    first = next(iter(mappers.values()))
    reduction = reduction_for(first.config, recorded.is_reduced, first.device)
    for i in np.unique(np.linspace(0, len(tokens) - 1, count).round().astype(int)).tolist():
        frame, truth = (
            dataset.frame(tokens[i], int(how.pictures), reduction),
            dataset.truth(tokens[i], grid, recorded.rules),
        )
        yield predict_frame(frame, tokens[i], mappers, truth, dataset.labelled(scene), how)._replace(world=scene)
