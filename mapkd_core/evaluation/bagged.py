# SPDX-License-Identifier: Apache-2.0
"""Predictions with truth over recorded bags, a bag a process, on all cores.

Pictures are decoded as the live node decodes them: no larger than the network needs, unless every pixel is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import torch

from mapkd_core import processes
from mapkd_core.bags.grouping import evenly
from mapkd_core.bags.read import BagDrive
from mapkd_core.data.reduced import reduction_for
from mapkd_core.evaluation.rendered import Predicted, Predicting, clip_all, mappers_of, predict_frame


@dataclass(frozen=True)
class Bags:
    """Which frames: those that come with truth, at most `frames` a bag, evenly spread.

    is_reduced: JPEGs are decoded no larger than the network needs. calibration: file for bags that lack it.
    """

    frames: int | None = None
    is_reduced: bool = True
    calibration: Path | None = None


def predict_bags(
    paths: Sequence[Path], bags: Bags, how: Predicting, workers: int | None = None
) -> Iterator[list[Predicted]]:
    """The frames of one bag after the other. workers: processes, one per core by default; 1 stays in this process.

    A process holds the maps of its bag until it is through, some 0.25 MB a frame: limit `frames` for very long bags.
    """
    names = bag_names(paths)
    if workers == 1 or len(paths) < 2:
        yield from (predict_bag(path, names[path], bags, how) for path in paths)
        return
    with processes.workers(workers, at_most=len(paths)) as pool:
        yield from pool.map(partial(predict_bag, bags=bags, how=how), paths, [names[path] for path in paths])


def predict_bag(path: Path, name: str, bags: Bags, how: Predicting) -> list[Predicted]:
    """One bag in this process, on one thread. Raises ValueError for a bag without truth, or none at its frames."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    mappers = mappers_of(how)
    first = next(iter(mappers.values()))
    reduction = reduction_for(first.config, bags.is_reduced, first.device)
    with BagDrive(path, bags.calibration, reduction=reduction) as drive:
        truths = drive.truth()
        stamps = sorted(truths.keys() & set(drive.survey.stamps_ns[drive.dialect.cameras[drive.anchor].image.name]))
        if not stamps:
            raise ValueError(
                f"bag {path} has {len(truths)} true maps, none at the stamp of an image of {drive.anchor}: nothing to "
                "score; write truth with mapkd bag, or look at the maps with mapkd view"
            )
        predicted = []
        for frame in drive.frames(evenly(stamps, bags.frames)):
            truth = truths[frame.stamp_ns]
            elements = clip_all(truth.elements, first.grid)
            made = predict_frame(frame, f"{name}-{frame.stamp_ns}", mappers, elements, truth.labelled, how)
            predicted.append(made._replace(world=name))
    return predicted


def bag_names(paths: Sequence[Path]) -> dict[Path, str]:
    """File names without suffix, with their folders where two are called the same."""
    stems = [path.stem for path in paths]
    return {p: stem if stems.count(stem) == 1 else str(p.with_suffix("")) for stem, p in zip(stems, paths)}
