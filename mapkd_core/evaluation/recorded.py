# SPDX-License-Identifier: Apache-2.0
"""Predictions with truth over a dataset in nuScenes' format, real or written by `mapkd nuscenes write`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mapkd_core.data.nuscenes import NuScenesSet
from mapkd_core.evaluation.rendered import Predicted, Predicting, predict_frame
from mapkd_core.mapper import Mapper


@dataclass(frozen=True)
class Recorded:
    """Which frames of a dataset: scenes of `split` (all without), from the file `splits` where given; truth by `rules`.

    version: folder of the tables, the only one where not given. frames: at most so many a scene, evenly spread.
    """

    root: Path
    version: str | None = None
    split: str | None = None
    splits: Path | None = None
    rules: str = "ours"
    frames: int | None = None


def predict_nuscenes(recorded: Recorded, how: Predicting) -> tuple[Iterator[list[Predicted]], int]:
    """The frames of one scene after the other, each with its prediction and truth, and the number of scenes.

    The dataset is opened here, so that what is wrong with it is said before the first prediction.
    """
    dataset = NuScenesSet(recorded.root, recorded.version)
    scenes = dataset.scenes(recorded.split, recorded.splits)
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
    for i in np.unique(np.linspace(0, len(tokens) - 1, count).round().astype(int)).tolist():
        frame, truth = (
            dataset.frame(tokens[i], sweeps=int(how.pictures)),
            dataset.truth(tokens[i], grid, recorded.rules),
        )
        yield predict_frame(frame, tokens[i], mappers, truth, dataset.labelled(scene), how)._replace(world=scene)
