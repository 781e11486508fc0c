# SPDX-License-Identifier: Apache-2.0
"""A quick look at a network in training: IoU on a folder of samples it does not learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import TrainingSet, to_batch
from mapkd_core.evaluation.protocols.bevfusion import IouAtThresholds
from mapkd_core.models.map_model import MapModel
from mapkd_core.training.autocast import autocast
from mapkd_core.training.parallel import ALONE, Group


def plain(config: TrainConfig) -> TrainConfig:
    """The settings without what changes frames at random: validation samples need not reach beyond the range."""
    return replace(config, camera_dropout=0.0, mirror=False, turn=0.0, shift=0.0)


@torch.no_grad()
def validate(model: MapModel, config: TrainConfig, limit: int = 240, group: Group = ALONE) -> dict[str, float]:
    """{"miou": ..., "iou_<class>": ...} in percent over at most `limit` evenly spread samples; {} without the folder.

    IoU as HDMapNet's: argmax over background and classes, intersections and unions summed over all frames; of a network
    of layers as `validate_layers` says. The processes of a group share the samples and all get the result.
    """
    if not Path(config.validation).is_dir():
        return {}
    if config.model.overlapping:
        return validate_layers(model, config, limit, group)
    config = plain(config)
    samples = TrainingSet(config.validation, config).samples
    device = next(model.parameters()).device
    classes = config.model.classes
    counts = torch.zeros(2, len(classes), dtype=torch.float64)  # intersections, unions
    _settle(model, group)
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(limit, len(samples))).round().astype(int))
    for i in chosen[group.rank :: group.size]:
        sample = samples[int(i)]
        batch = to_batch(sample, config).to(device)
        with autocast(config, device):
            output = model(*batch.inputs())
            labels = output.semantic.argmax(1)
        for k in (k for k, name in enumerate(classes) if name in sample.labelled):
            predicted, true = labels == k + 1, batch.labels == k + 1
            counts[0, k] += float((predicted & true).sum())
            counts[1, k] += float((predicted | true).sum())
    hits, unions = group.total(counts.to(device)).cpu().numpy()
    iou = 100 * hits / np.maximum(unions, 1)
    return {"miou": round(float(iou.mean()), 2)} | {
        f"iou_{c}": round(float(v), 2) for c, v in zip(classes, iou, strict=True)
    }


@torch.no_grad()
def validate_layers(model: MapModel, config: TrainConfig, limit: int, group: Group) -> dict[str, float]:
    """The same of layers that may overlap: each at its best threshold, as BEVFusion does (`protocols.bevfusion`).

    Cells whose truth is not known are left out, and so are layers that are known nowhere.
    """
    config = plain(config)
    samples = TrainingSet(config.validation, config).samples
    device = next(model.parameters()).device
    accumulator = IouAtThresholds(config.model.classes)
    _settle(model, group)
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(limit, len(samples))).round().astype(int))
    for i in chosen[group.rank :: group.size]:
        batch = to_batch(samples[int(i)], config).to(device)
        with autocast(config, device):
            probability = model(*batch.inputs()).semantic.sigmoid()[0].float().cpu().numpy()
        assert batch.layers is not None
        truth = batch.layers[0].cpu().numpy()
        accumulator.add(np.where(truth < 0, 0.0, probability), truth == 1)
    accumulator.counts = group.total(torch.from_numpy(accumulator.counts).double().to(device)).cpu().numpy()
    best = {name: 100 * max(row.values()) for name, row in accumulator.iou().items()}
    known = {name: round(value, 2) for name, value in best.items() if not np.isnan(value)}
    mean = round(sum(known.values()) / max(1, len(known)), 2)
    return {"miou_at_max": mean} | {f"iou_{name}": value for name, value in known.items()}


def _settle(model: MapModel, group: Group) -> None:
    """The same network in all processes: batch norms of those on CPUs differ a little."""
    model.eval()
    for buffer in model.buffers():
        group.first_says(buffer)
