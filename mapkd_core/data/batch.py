# SPDX-License-Identifier: Apache-2.0
"""Samples to tensors. B batch, N cameras, H W picture, Y X canvas cells, M elements (padded), P points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mapkd_core.config import ModelConfig, TrainConfig
from mapkd_core.data.augment import augment
from mapkd_core.data.camera_truth import camera_lines
from mapkd_core.data.clipping import clip
from mapkd_core.data.fit import check_pictures, check_reach
from mapkd_core.data.layers import layer_masks
from mapkd_core.data.rasterise import DIRECTION_BINS, raster_targets
from mapkd_core.data.samples import Sample, SampleFolder
from mapkd_core.data.teacher_inputs import (
    as_tensors,
    check_there,
    lost_modalities,
    stack_points,
    teacher_inputs,
    without,
)
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import plan
from mapkd_core.types import MapElement

MAX_ELEMENTS = 64


@dataclass
class Batch:
    """images B N 3 H W uint8; plan B ...; labels, instances B Y X; direction B 2 Y X (cos 2a, sin 2a; 0 off the lines).

    element_classes B M (-1: none); element_points B M P 2 in [0, 1]; element_closed B M.
    camera_lines B N K h w: where the lines lie in the pictures, see `camera_truth`.
    points B P 5, sd B 1 Y/2 X/2, hd B 3 Y/2 X/2: what teachers get beside the pictures; None where they do not.
    rows B: which variant of which frame, see `TrainingSet`; None outside of a training set.
    layers B K Y X int8: truth of a network of layers (`data.layers`), which has no line truth; None for all others.
    frustum B N D h w: cells of the pictures' frustum points, for a coach; see `teacher_inputs`.
    lost B 3: which of LiDAR, SD and HD prior the network that learns does not get; None outside of a training set.
    """

    images: Tensor
    plan: Tensor
    labels: Tensor
    instances: Tensor
    direction: Tensor
    element_classes: Tensor
    element_points: Tensor
    element_closed: Tensor
    camera_lines: Tensor
    points: Tensor | None = None
    sd: Tensor | None = None
    hd: Tensor | None = None
    frustum: Tensor | None = None
    rows: Tensor | None = None
    layers: Tensor | None = None
    lost: Tensor | None = None

    def inputs(self) -> tuple[Tensor | None, ...]:
        """What MapModel takes, in its order."""
        return self.images, self.plan, self.points, self.sd, self.hd, self.frustum

    def learner_inputs(self) -> tuple[Tensor | None, ...]:
        """The same for the network that learns, without what it has lost."""
        known = (self.points, self.sd, self.hd)
        return self.images, self.plan, *(known if self.lost is None else without(self.lost, *known)), self.frustum

    def to(self, device: torch.device | str) -> Batch:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{n: None if v is None else v.to(device, non_blocking=True) for n, v in given.items()})


class TrainingSet(Dataset):
    """Random variants of the samples of a folder; item i of epoch e is always the same variant.

    With `config.variants` = V epoch e shows variant e mod V, and runs of all seeds see the same V variants; item i of
    variant v is row v len + i.
    """

    def __init__(self, folder: Path | str, config: TrainConfig, modalities: Sequence[str] = ("camera",)) -> None:
        self.samples, self.modalities = SampleFolder(folder), modalities
        check_there(self.samples, {*modalities, *config.model.modalities})
        check_pictures(self.samples, config)
        check_reach(self.samples, config)
        self.config = config
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> Batch:
        fixed = self.config.variants
        seed, variant = (0, self.epoch % fixed) if fixed else (self.config.seed, self.epoch)
        rng = np.random.default_rng((seed, variant, i))
        batch = to_batch(augment(self.samples[i], self.config, rng), self.config, self.modalities)
        lost = torch.from_numpy(lost_modalities(self.config.modality_dropout, rng))[None]
        return replace(batch, rows=torch.tensor([variant * len(self) + i]), lost=lost)


def to_batch(sample: Sample, config: TrainConfig, modalities: Sequence[str] = ()) -> Batch:
    """A batch of one: truth clipped to the model's range and drawn. modalities: beside those of the model.

    Raises ValueError where the model has layers and the sample knows none.
    """
    model, p = config.model, sample.prepared
    lines = () if model.overlapping else sample.elements
    elements = [part for e in lines for part in clip(e, model.grid)]
    targets = raster_targets(elements, model.grid, model.classes)
    angle = (targets.directions.astype(np.float32) - 0.5) * (2 * np.pi / DIRECTION_BINS)
    direction = np.stack([np.cos(angle), np.sin(angle)]) * (targets.directions > 0)
    classes = np.full(MAX_ELEMENTS, -1, np.int64)
    points = np.zeros((MAX_ELEMENTS, model.points, 2), np.float32)
    closed = np.zeros(MAX_ELEMENTS, bool)
    for m, element in enumerate(_longest(elements)):
        classes[m] = model.classes.index(element.class_name)
        points[m] = normalise(resample(element, model.points), model.grid)
        closed[m] = element.is_closed
    arrays = (
        np.ascontiguousarray(p.images), plan(model, p.K, p.ego_T_camera, p.valid), targets.labels.astype(np.int64),
        targets.instances.astype(np.int64), direction.astype(np.float32), classes, points, closed,
        camera_lines(elements, p, model.classes, sample.relief),
    )  # fmt: skip
    return Batch(
        *(torch.from_numpy(a)[None] for a in arrays),
        layers=_layers(sample, model) if model.overlapping else None,
        **as_tensors(teacher_inputs(sample, model, {*modalities, *model.modalities})),
    )


def _longest(elements: list[MapElement]) -> list[MapElement]:
    """The MAX_ELEMENTS longest, in their order: what queries learn; rasters have all. At 240 m there may be more."""
    if len(elements) <= MAX_ELEMENTS:
        return elements
    lengths = [np.linalg.norm(np.diff(e.vertices_m, axis=0), axis=1).sum() for e in elements]
    return [elements[i] for i in np.sort(np.argsort(lengths)[-MAX_ELEMENTS:])]


def _layers(sample: Sample, model: ModelConfig) -> Tensor:
    if sample.layers is None:
        raise ValueError(
            f"a network of the layers {', '.join(model.classes)} learns from samples that know them; these do not: "
            "make some with `mapkd dataset --config YAML` or `mapkd nuscenes samples ROOT --config YAML` with these "
            "settings"
        )
    return torch.from_numpy(layer_masks(sample.layers, model.grid, model.classes))[None]


def collate(batches: list[Batch]) -> Batch:
    """Batches of one to one batch."""
    columns = {f.name: [getattr(b, f.name) for b in batches] for f in fields(Batch)}
    joined = {n: torch.cat(v) for n, v in columns.items() if n != "points" and v[0] is not None}
    if columns["points"][0] is not None:
        joined["points"] = stack_points(columns["points"])
    return Batch(**joined)


def resample(element: MapElement, count: int) -> NDArray[np.float64]:
    """count x 2: equally spaced along the element; a closed one has its first vertex once."""
    vertices = np.asarray(element.vertices_m, np.float64)
    if element.is_closed:
        vertices = np.concatenate([vertices, vertices[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(vertices, axis=0), axis=1))])
    at = np.linspace(0, along[-1], count + 1)[:-1] if element.is_closed else np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, vertices[:, axis]) for axis in (0, 1)], -1)


def normalise(points_m: NDArray, grid: BevGrid) -> NDArray[np.float64]:
    """Metres to [0, 1] over the grid's range."""
    return (points_m - (grid.x_min, grid.y_min)) / (grid.x_max - grid.x_min, grid.y_max - grid.y_min)
