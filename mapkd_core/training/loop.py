# SPDX-License-Identifier: Apache-2.0
"""The training loop. Out of it come `last.pt` (to resume from), `log.jsonl` and the averaged weights as safetensors."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mapkd_core.config import TrainConfig, from_dict, to_dict
from mapkd_core.data.batch import Batch, TrainingSet, collate
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel
from mapkd_core.training.checkpoint import load_training, load_weights, save_training, save_weights
from mapkd_core.training.losses import map_losses
from mapkd_core.training.muon import Muon, parameter_groups
from mapkd_core.training.validate import validate


def train(config: TrainConfig, out: Path, resume: bool = False) -> Path:
    """Train a student into `out`; returns the path of its weights.

    Raises FloatingPointError on a loss that is not finite.
    """
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = _initial(config).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = make_optimizer(model, config)
    progress = Progress(config)
    if resume:
        _resume(out / "last.pt", config, model, average, optimizer, progress)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(to_dict(config), indent=1))
    bar = tqdm(total=1000, desc="train", unit="‰", mininterval=2.0)
    for batch in _batches(config, progress.step):
        share = progress.share
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(progress.step, share, config)
        losses = _step(model, optimizer, batch.to(device), config)
        _update_average(average, model, min(config.ema, (1 + progress.step) / (10 + progress.step)))
        progress.advance()
        bar.n = round(1000 * share)
        if progress.step % 50 == 0:
            row = {"step": progress.step, "seconds": round(progress.seconds, 1)} | {
                k: round(v, 4) for k, v in losses.items()
            }
            _log(out, row)
            bar.set_postfix(step=progress.step, loss=row["total"], refresh=True)
        if progress.step % config.validate_every == 0:
            _log(out, {"step": progress.step} | validate(average, config))
        if progress.step % config.checkpoint_every == 0 or progress.done:
            save_training(out / "last.pt", _state(model, average, optimizer, progress, config))
        if progress.done:
            break
    bar.close()
    result = validate(average, config)
    _log(out, {"step": progress.step, "final": True} | result)
    card = {
        "classes": list(config.model.classes),
        "validation": result,
        "training": to_dict(replace(config, model=config.model)),
    }
    save_weights(out / "student.safetensors", average.state_dict(), config.model, card)
    return out / "student.safetensors"


def _initial(config: TrainConfig) -> MapModel:
    """A network with fresh weights, or with those of `config.initial`, which must be of the same shape.

    `config.camera` gives the camera encoder alone: a student's of any other shape, or timm's for the backbone.
    """
    model = build(config.model)
    if config.camera:
        given = load_file(config.camera)
        encoder = {name.removeprefix("camera."): v for name, v in given.items() if name.startswith("camera.")}
        if encoder:
            model.camera.load_state_dict(encoder)
        else:
            model.camera.backbone.load_pretrained(config.camera)
    if config.initial:
        start, _ = load_weights(Path(config.initial))
        if start.config != config.model:
            raise ValueError(f"initial = {config.initial}: its network is {start.config}, this run's is {config.model}")
        model.load_state_dict(start.state_dict())
    return model


class Progress:
    """How far the run is: by steps, or by wall time where `minutes` is set."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.step, self._before, self._start = config, 0, 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    @property
    def share(self) -> float:
        """0..1 of the schedule."""
        by_time = (
            self.seconds / (60 * self.config.minutes) if self.config.minutes > 0 else self.step / self.config.steps
        )
        return min(1.0, by_time)

    @property
    def done(self) -> bool:
        return self.share >= 1.0

    def advance(self) -> None:
        self.step += 1

    def restore(self, step: int, seconds: float) -> None:
        self.step, self._before = step, seconds


def _step(model: MapModel, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainConfig) -> dict[str, float]:
    model.train()
    half = config.precision == "bf16"
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=half):
        output = model(batch.images, batch.plan)
    losses = map_losses(output, batch, config.model.query_groups)
    total = torch.stack([config.weights[name] * value for name, value in losses.items()]).sum()
    values = {name: float(value.detach()) for name, value in losses.items()} | {"total": float(total.detach())}
    if not math.isfinite(values["total"]):
        raise FloatingPointError(f"loss is not finite: {values}; lower learning_rate or look at this batch")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    return values


def _batches(config: TrainConfig, first_step: int) -> Iterator[Batch]:
    """Endless; epoch e is the same shuffle in every run with the same seed and the same data.

    The folder is read again for each epoch: a generator that runs beside the training adds to the next one.
    """
    epoch, skip = divmod(first_step, max(1, len(TrainingSet(config.data, config)) // config.batch))
    while True:
        dataset = TrainingSet(config.data, config)
        dataset.epoch = epoch
        order = torch.randperm(
            len(dataset), generator=torch.Generator().manual_seed(config.seed * 1009 + epoch)
        ).tolist()
        chosen = order[skip * config.batch :]
        loader: DataLoader = DataLoader(
            dataset,
            config.batch,
            sampler=chosen,
            num_workers=config.workers,
            collate_fn=collate,
            drop_last=len(order) >= config.batch,
        )
        yield from loader
        epoch, skip = epoch + 1, 0


def _schedule(step: int, share: float, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    return min(1.0, (step + 1) / config.warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """`config.optimizer`: muon or adamw. Raises ValueError for another name."""
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "muon":
        return Muon(groups, config.learning_rate)
    if config.optimizer == "adamw":
        plain = [{key: group[key] for key in ("params", "weight_decay")} for group in groups]
        return torch.optim.AdamW(plain, config.learning_rate, betas=(0.9, 0.98))
    raise ValueError(f"optimizer = {config.optimizer!r}; known: muon, adamw")


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _state(
    model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, config: TrainConfig
) -> dict:
    tensors: dict[str, dict[str, Tensor]] = {"model": model.state_dict(), "average": average.state_dict()}
    return tensors | {
        "optimizer": optimizer.state_dict(),
        "step": progress.step,
        "seconds": progress.seconds,
        "config": to_dict(config),
    }


def _resume(
    path: Path,
    config: TrainConfig,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    state = load_training(path)
    if from_dict(TrainConfig, state["config"]).model != config.model:
        raise ValueError(
            f"{path} was trained with another network: {state['config']['model']}; start afresh or use its settings"
        )
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    progress.restore(state["step"], state["seconds"])


def _log(out: Path, row: dict) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
