# SPDX-License-Identifier: Apache-2.0
"""Whether a set of samples fits the network that is to learn from it: how far truth reaches, and the pictures' size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core import geometry
from mapkd_core.config import TrainConfig
from mapkd_core.data import set_manifest
from mapkd_core.data.samples import SampleFolder
from mapkd_core.grid import RANGES, BevGrid
from mapkd_core.types import CLASSES

_ROUNDING_M = 1e-6


def needed(config: TrainConfig) -> BevGrid:
    """What truth must cover: the network's range, turned, shifted and mirrored as `augment` may, in whole cells."""
    grid = config.model.grid
    inner = np.array(grid.bounds)
    beyond = np.maximum((_bounds(config) - inner) * (-1, -1, 1, 1), 0)
    x_min, y_min, x_max, y_max = inner + np.ceil(beyond / grid.cell - _ROUNDING_M) * grid.cell * (-1, -1, 1, 1)
    return BevGrid(float(x_min), float(x_max), float(y_min), float(y_max), grid.cell)


def check_reach(samples: SampleFolder, config: TrainConfig) -> None:
    """Raises ValueError, naming both, where the network's range, with what augmentation adds, goes beyond the truth."""
    there, wanted = samples.reach(config.model.overlapping).bounds, _bounds(config)
    if not covers(there, wanted):
        raise ValueError(
            f"truth in {samples.folder} reaches {_said(there)}; the network's range {_said(config.model.grid.bounds)} "
            f"with turns of {config.turn:g} rad and shifts of {config.shift:g} m needs {_said(wanted)}: write samples "
            f"for this range (`mapkd nuscenes samples ROOT --range {'|'.join(RANGES)}`; rendered worlds have one), or "
            "take a smaller model.grid, turn or shift"
        )


def check_pictures(samples: SampleFolder, config: TrainConfig) -> None:
    """Raises ValueError, naming both, where the pictures are not of the network's size."""
    found, wanted = samples.picture_size, (config.model.image_height, config.model.image_width)
    if found != wanted:
        raise ValueError(
            f"pictures in {samples.folder} are {found[1]} x {found[0]} px, the network's {wanted[1]} x {wanted[0]}: "
            f"set model.image_width={found[1]} model.image_height={found[0]}, or write the samples in its size"
        )


def check_labelled(samples: SampleFolder) -> None:
    """Raises ValueError for frames whose truth does not tell of all classes: the unknown would be learned as none."""
    for i in range(len(samples)):
        if unknown := [name for name in CLASSES if name not in samples.labelled(i)]:
            raise ValueError(
                f"{samples.folder}: the truth of {samples.token(i)} does not tell of {', '.join(unknown)}: "
                "a network would learn that there is none; train on maps that label all, keep this one for evaluation"
            )


def check_apart(training: SampleFolder, validation: SampleFolder) -> None:
    """Raises ValueError where two sets of nuScenes scenes share one: its validation would say nothing.

    Rendered sets are apart by their seeds. A scene is known by its name, so that splits of two files are compared too.
    """
    told = [set_manifest.read(samples.folder) or {} for samples in (training, validation)]
    same_folder = training.folder.resolve() == validation.folder.resolve()
    if same_folder or any("scenes" not in each for each in told):
        return
    shared = sorted(set(training.names) & set(validation.names))
    if shared:
        one, other = (f"{each['split']!r} of {each['splits']}" for each in told)
        raise ValueError(
            f"{training.folder} (split {one}) and {validation.folder} (split {other}) share {len(shared)} scenes, the "
            f"first is {shared[0]}: write both from splits of one list"
        )


def covers(outer: ArrayLike, inner: ArrayLike) -> bool:
    """Whether a rectangle (x_min, y_min, x_max, y_max) lies in another, but for rounding."""
    (x0, y0, x1, y1), (u0, v0, u1, v1) = np.asarray(outer), np.asarray(inner)
    return bool(min(u0 - x0, v0 - y0, x1 - u1, y1 - v1) > -_ROUNDING_M)


def _bounds(config: TrainConfig) -> NDArray[np.float64]:
    """x_min, y_min, x_max, y_max of the range in all ego frames that `augment` may choose."""
    x_min, y_min, x_max, y_max = config.model.grid.bounds
    corners = np.array([(x, y) for x in (x_min, x_max) for y in (y_min, y_max)])
    turns = np.linspace(-config.turn, config.turn, 101 if config.turn else 1)  # the farthest may lie between its ends
    seen = np.concatenate([geometry.apply_planar(geometry.planar(0.0, 0.0, float(turn)), corners) for turn in turns])
    low, high = seen.min(0) - config.shift, seen.max(0) + config.shift
    if config.mirror:
        low[1], high[1] = min(low[1], -high[1]), max(high[1], -low[1])
    return np.concatenate([low, high])


def _said(bounds: ArrayLike) -> str:
    x_min, y_min, x_max, y_max = np.asarray(bounds).tolist()
    return f"x {x_min:.4g}..{x_max:.4g}, y {y_min:.4g}..{y_max:.4g} m"
