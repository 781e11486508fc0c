# SPDX-License-Identifier: Apache-2.0
"""Pretraining of a teacher's refinement as a masked autoencoder of true maps; no picture is read, so that it is quick.

Squares of a true map are hidden, their side and their share drawn anew for every batch as in P-MapNet (arXiv
2403.10521, section 3.4), and the network says what was there. What is not hidden is told more or less surely, since
the maps it will read are soft. B batch, K classes, Y X canvas cells.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from mapkd_core import geometry
from mapkd_core.config import ModelConfig, TrainConfig, from_dict, to_dict
from mapkd_core.data.augment import mirror, move
from mapkd_core.data.clipping import clip
from mapkd_core.data.fit import check_reach
from mapkd_core.data.prepare import Prepared
from mapkd_core.data.rasterise import rasterise
from mapkd_core.data.samples import Sample, SampleFolder
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.refinement import Refinement
from mapkd_core.training.checkpoint import read_weights, save_weights
from mapkd_core.training.descent import names
from mapkd_core.training.joined import by_the_first, own_device
from mapkd_core.training.log import Log
from mapkd_core.training.parallel import ALONE
from mapkd_core.training.refine_state import KIND, RefinementState, check_same

SIDES_M = (1.2, 1.5, 3.0, 3.75)  # of a hidden square: P-MapNet's 8, 10, 20 and 25 cells of 0.15 m
SHARES = (0.2, 0.7)  # of the map that is hidden
SURE = (2.0, 8.0)  # logit of the true class where nothing is hidden
FILE = "refinement.safetensors"
_NO_CAMERAS = Prepared(np.zeros((0, 3, 1, 1), np.uint8), np.zeros((0, 3, 3)), np.zeros((0, 4, 4)), np.zeros(0, bool))


def pretrain(config: TrainConfig, out: Path, resume: bool = False) -> Path:
    """Learn from the maps in `config.data`; returns the path of the weights, beside which lies their card.

    resume: go on from `out`/last.pt. Under torchrun the first process trains and the others wait. Raises ValueError
    where the network has no refinement, FloatingPointError on a loss that is not finite, naming the frames.
    """
    by_the_first(lambda: _pretrain(config, out, resume))
    return out / FILE


def _pretrain(config: TrainConfig, out: Path, resume: bool) -> None:
    torch.manual_seed(config.seed)
    run, folder = RefinementState(config, own_device()), SampleFolder(config.data)
    check_reach(folder, config)
    progress = run.progress
    if resume:
        run.restore(out / "last.pt")
    log = Log(out, config, ALONE, progress.step)
    bar = tqdm(total=1000, desc="refinement", unit="‰", mininterval=2.0)
    is_done = progress.done  # already, where it was killed before the weights were written
    while not is_done:
        loss = _step(run, folder)
        is_done = progress.done
        bar.n = round(1000 * progress.share)
        if progress.step % 50 == 0:
            log.write({"step": progress.step, "seconds": round(progress.seconds, 1), "loss": round(loss, 4)})
            bar.set_postfix(step=progress.step, loss=round(loss, 4))
        if progress.step % config.checkpoint_every == 0 or is_done:
            run.save(out / "last.pt")
    bar.close()
    log.close()
    card = {"classes": list(config.model.classes), "kind": KIND, "training": to_dict(config)}
    card["validation"] = score(run.network, config) if Path(config.validation).is_dir() else {}
    save_weights(out / FILE, run.network.state_dict(), config.model, card)


def _step(run: RefinementState, folder: SampleFolder) -> float:
    config, rng = run.config, run.drawn()
    chosen = rng.integers(0, len(folder), config.batch).tolist()
    labels = torch.stack([true_map(folder, i, config, rng) for i in chosen]).to(run.device)
    told, _ = hide(labels, len(config.model.classes), config.model.grid.cell, rng)
    return run.step(told, labels, lambda: names(config.data, chosen))


def start(model: MapModel, path: Path) -> None:
    """Give a teacher its pretrained refinement.

    Raises ValueError, naming both sides, for a network without one and for weights of another grid, classes or size.
    """
    if model.refinement is None:
        raise ValueError(f"refinement = {path}, but the network has none; set model.refinement_layers, or leave it out")
    state, card = read_weights(path)
    if card.get("kind") != KIND:
        raise ValueError(f"{path} holds a whole network and no refinement; make one by `mapkd train --refinement`")
    check_same(from_dict(ModelConfig, card["model"], "model."), model.config, path)
    model.refinement.load_state_dict(state)


def true_map(folder: SampleFolder, i: int, config: TrainConfig, rng: np.random.Generator | None = None) -> Tensor:
    """Y X labels of a frame's truth, in a mirror and another ego frame as training sees it, where `rng` is given."""
    sample = Sample(_NO_CAMERAS, folder.elements(i))
    if rng is not None:
        if config.mirror and rng.random() < 0.5:
            sample = mirror(sample)
        yaw, x, y = rng.uniform(-1, 1, 3) * (config.turn, config.shift, config.shift)
        sample = move(sample, geometry.planar(x, y, yaw))
    grid = config.model.grid
    inside = [part for e in sample.elements for part in clip(e, grid)]
    return torch.from_numpy(rasterise(inside, grid, config.model.classes).astype(np.int64))


def hide(labels: Tensor, classes: int, cell_m: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """B Y X labels -> logits B 1+K Y X, all zero where hidden, and where that is, B Y X."""
    b, y, x = labels.shape
    side, share = max(1, round(rng.choice(SIDES_M) / cell_m)), rng.uniform(*SHARES)
    coarse = rng.random((b, math.ceil(y / side) + 1, math.ceil(x / side) + 1)) < share
    top, left = rng.integers(0, side, 2)
    hidden = torch.from_numpy(coarse.repeat(side, 1).repeat(side, 2)[:, top : top + y, left : left + x].copy())
    hidden = hidden.to(labels.device)
    sure = torch.from_numpy(rng.uniform(*SURE, (b, 1, 1, 1))).float().to(labels.device)
    told = functional.one_hot(labels, 1 + classes).permute(0, 3, 1, 2) * sure
    return told.masked_fill(hidden.unsqueeze(1), 0.0), hidden


@torch.no_grad()
def score(model: Refinement, config: TrainConfig, limit: int = 64) -> dict[str, float]:
    """{"masked_loss", "masked_miou"} over the hidden cells of at most `limit` validation maps, the same every time."""
    folder, rng, classes = SampleFolder(config.validation), np.random.default_rng(0), config.model.classes
    device = next(model.eval().parameters()).device
    losses, hits, unions = [], np.zeros(len(classes)), np.zeros(len(classes))
    for i in np.unique(np.linspace(0, len(folder) - 1, min(limit, len(folder))).round().astype(int)):
        labels = true_map(folder, int(i), config).unsqueeze(0).to(device)
        told, hidden = hide(labels, len(classes), config.model.grid.cell, rng)
        answer = model(told)
        losses.append(float(masked_loss(answer, labels, hidden)))
        found, true = answer.argmax(1)[hidden], labels[hidden]
        for k in range(len(classes)):
            hits[k] += int(((found == k + 1) & (true == k + 1)).sum())
            unions[k] += int(((found == k + 1) | (true == k + 1)).sum())
    miou = float((100 * hits / np.maximum(unions, 1)).mean())
    return {"masked_loss": round(float(np.mean(losses)), 4), "masked_miou": round(miou, 2)}


def masked_loss(logits: Tensor, labels: Tensor, hidden: Tensor) -> Tensor:
    """Cross entropy of the hidden cells; ln(1 + K) for one that knows nothing."""
    return functional.cross_entropy(logits, labels, reduction="none")[hidden].mean()
