# SPDX-License-Identifier: Apache-2.0
"""The training loop. Out of it come `last.pt` (to resume from), `log.jsonl` and the averaged weights as safetensors."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mapkd_core.config import ModelConfig, TrainConfig, to_dict
from mapkd_core.data.batch import Batch, TrainingSet, collate
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel
from mapkd_core.training import refine
from mapkd_core.training.checkpoint import load_weights, save_weights
from mapkd_core.training.losses import map_losses
from mapkd_core.training.optim import schedule
from mapkd_core.training.run_state import RunState
from mapkd_core.training.validate import validate


def train(config: TrainConfig, out: Path, resume: bool = False) -> Path:
    """Train a student into `out`; returns the path of its weights.

    Raises FloatingPointError on a loss that is not finite.
    """
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = RunState(_initial(config), config, device)
    progress = run.progress
    if resume:
        run.restore(out / "last.pt")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(to_dict(config), indent=1))
    bar = tqdm(total=1000, desc="train", unit="‰", mininterval=2.0)
    batches = Timed(_batches(config, progress.step, run.modalities))
    for batch in batches:
        share = progress.share
        for group in run.optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(progress.step, share, config)
        losses = _step(run, batch.to(device))
        run.update_average()
        progress.advance()
        bar.n = round(1000 * share)
        if progress.step % 50 == 0:
            row = {"step": progress.step, "seconds": round(progress.seconds, 1)}
            _log(out, row | {k: round(v, 4) for k, v in losses.items()} | batches.report(50 * config.batch))
            bar.set_postfix(step=progress.step, loss=round(losses["total"], 4), refresh=True)
        if progress.step % config.validate_every == 0:
            _log(out, {"step": progress.step} | validate(run.average, config))
        if progress.step % config.checkpoint_every == 0 or progress.done:
            run.save(out / "last.pt")
        if progress.done:
            break
    bar.close()
    return _finished(run, out)


class Timed:
    """Passes batches on and notes how long the training waits for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches, self._waited, self._since = batches, 0.0, time.monotonic()

    def __iter__(self) -> Iterator[Batch]:
        start = time.monotonic()
        for batch in self._batches:
            self._waited += time.monotonic() - start
            yield batch
            start = time.monotonic()

    def report(self, frames: int) -> dict[str, float]:
        """Frames a second and the loader's share of the time since the last report."""
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        result = {"frames_s": round(frames / seconds, 2), "loader_share": round(self._waited / seconds, 4)}
        self._waited, self._since = 0.0, now
        return result


def _finished(run: RunState, out: Path) -> Path:
    """Validate and write the averaged student with its card."""
    result = validate(run.average, run.config)
    _log(out, {"step": run.progress.step, "final": True} | result)
    card = {
        "classes": list(run.config.model.classes),
        "validation": result,
        "seconds": round(run.progress.seconds, 1),
        "training": to_dict(run.config),
    }
    save_weights(out / "student.safetensors", run.average.state_dict(), run.config.model, card)
    return out / "student.safetensors"


def _initial(config: TrainConfig) -> MapModel:
    """A network with fresh weights, or with those of `config.initial`, which must be of the same shape.

    `config.camera` gives the camera encoder alone: a student's of any other shape, or timm's for the backbone.
    """
    model = build(config.model)
    if config.camera:
        given = load_file(config.camera)
        encoder = {name.removeprefix("camera."): v for name, v in given.items() if name.startswith("camera.")}
        for camera in model.camera_encoders:
            if encoder:
                camera.start(encoder)
            else:
                camera.backbone.load_pretrained(config.camera)
    if config.initial:
        start, _ = load_weights(Path(config.initial))
        _check_start(start.config, config)
        model.load_state_dict(start.state_dict(), strict=start.config == config.model)
    if config.refinement:
        refine.start(model, Path(config.refinement))
    return model


def _check_start(found: ModelConfig, config: TrainConfig) -> None:
    """Weights to start from are of this network, or of the same without its refinement."""
    bare = {"refinement_layers": 0, "refinement_width": found.refinement_width}
    if found not in (config.model, replace(config.model, **bare)):
        raise ValueError(f"initial = {config.initial}: its network is {found}, this run's is {config.model}")


def _step(run: RunState, batch: Batch) -> dict[str, float]:
    run.learning.train()
    config = run.config
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        output = run.model(*batch.inputs())
        camera = run.learning["hint"](output.camera, batch.camera_lines)
        taught = run.learning["scheme"](batch, output) if config.scheme else {}
    losses = map_losses(output, batch, config.model.query_groups) | {"camera": camera}
    total = torch.stack([config.weights[name] * value for name, value in losses.items()]).sum()
    if taught:
        total = total + torch.stack(list(taught.values())).sum()
    values = {name: float(value.detach()) for name, value in (losses | taught | {"total": total}).items()}
    if not math.isfinite(values["total"]):
        raise FloatingPointError(f"loss is not finite: {values}; lower learning_rate or look at this batch")
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(run.learning.parameters(), config.clip)
    run.optimizer.step()
    return values


def _batches(config: TrainConfig, first_step: int, modalities: Sequence[str] = ("camera",)) -> Iterator[Batch]:
    """Endless; epoch e is the same shuffle in every run with the same seed and the same data.

    The folder is read again for each epoch: a generator that runs beside the training adds to the next one.
    """
    epoch, skip = divmod(first_step, max(1, len(TrainingSet(config.data, config)) // config.batch))
    while True:
        dataset = TrainingSet(config.data, config, modalities)
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


def _log(out: Path, row: dict) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
