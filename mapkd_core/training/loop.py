# SPDX-License-Identifier: Apache-2.0
"""The training loop. Out of it come `last.pt` (to resume from), `log.jsonl` and the averaged weights as safetensors."""

from __future__ import annotations

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
from mapkd_core.data.fit import check_apart
from mapkd_core.data.samples import SampleFolder
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel
from mapkd_core.training import parallel, refine
from mapkd_core.training.checkpoint import load_weights, save_weights
from mapkd_core.training.log import Log
from mapkd_core.training.optim import schedule
from mapkd_core.training.parallel import ALONE, Group
from mapkd_core.training.run_state import RunState
from mapkd_core.training.validate import plain, validate


def train(config: TrainConfig, out: Path, resume: bool = False) -> Path:
    """Train a student into `out`; returns the path of its weights.

    Under torchrun all processes train the one student, and the first writes. Raises FloatingPointError on a loss that
    is not finite, naming the frames.
    """
    with parallel.group() as group:
        return _train(config, out, resume, group)


def _train(config: TrainConfig, out: Path, resume: bool, group: Group) -> Path:
    torch.manual_seed(config.seed)
    run = RunState(_initial(config), config, group)
    progress = run.progress
    if resume:
        run.restore(out / "last.pt")
    if Path(config.validation).is_dir():
        # Refused now and not at the first validation, if it lacks something.
        check_apart(SampleFolder(config.data), TrainingSet(config.validation, plain(config)).samples)
    log = Log(out, config, group)
    bar = tqdm(total=1000, desc="train", unit="‰", mininterval=2.0, disable=not group.is_first)
    batches = Timed(_batches(config, progress.step, run.learning.modalities, group))
    for batch in batches:
        share = float(group.first_says(torch.tensor(progress.share, device=group.device)))
        for parameters in run.optimizer.param_groups:
            parameters["lr"] = config.learning_rate * schedule(progress.step, share, config)
        losses = _step(run, batch.to(group.device))
        run.update_average()
        progress.advance()
        is_done = bool(group.first_says(torch.tensor(progress.done, device=group.device)))
        bar.n = round(1000 * share)
        if progress.step % 50 == 0:
            row = {"step": progress.step, "seconds": round(progress.seconds, 1)}
            speed = batches.report(50 * config.batch)
            log.write(row | {k: round(v, 4) for k, v in losses.items()} | speed)
            bar.set_postfix(step=progress.step, loss=round(losses["total"], 4), **speed, refresh=True)
        if progress.step % config.validate_every == 0:
            log.write({"step": progress.step} | validate(run.average, config, group=group))
        if (progress.step % config.checkpoint_every == 0 or is_done) and group.is_first:
            run.save(out / "last.pt")
        if is_done:
            break
    bar.close()
    weights = _finished(run, out, log)
    log.close()
    return weights


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


def _finished(run: RunState, out: Path, log: Log) -> Path:
    """Validate and write the averaged student with its card."""
    result = validate(run.average, run.config, group=run.group)
    log.write({"step": run.progress.step, "final": True} | result)
    card = {
        "classes": list(run.config.model.classes),
        "validation": result,
        "seconds": round(run.progress.seconds, 1),
        "precision": run.precision,
        "training": to_dict(run.config),
    }
    if run.group.is_first:
        save_weights(out / "student.safetensors", run.average.state_dict(), run.config.model, card)
    run.group.wait()
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
    total, losses = run.stepping(batch)
    values = {name: float(value.detach()) for name, value in (losses | {"total": total}).items()}
    if not math.isfinite(values["total"]):
        raise FloatingPointError(
            f"loss is not finite: {values} on the frames {_names(run.config.data, batch)}; lower learning_rate or look "
            "at them"
        )
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(run.learning.parameters(), run.config.clip)
    run.optimizer.step()
    return values


def _names(folder: str, batch: Batch) -> str:
    samples = SampleFolder(folder)
    rows = [] if batch.rows is None else batch.rows.tolist()
    return ", ".join(f"{folder}/{samples.token(row % len(samples))}" for row in rows)


def _batches(
    config: TrainConfig, first_step: int, modalities: Sequence[str] = ("camera",), group: Group = ALONE
) -> Iterator[Batch]:
    """Endless; epoch e is the same shuffle in every run with the same seed and the same data.

    Of every step's frames each process of the group takes its share. The folder is read again for each epoch: a
    generator that runs beside the training adds to the next one.
    """
    local = group.local_batch(config.batch)
    epoch, skip = divmod(first_step, max(1, len(TrainingSet(config.data, config)) // config.batch))
    while True:
        dataset = TrainingSet(config.data, config, modalities)
        dataset.epoch = epoch
        order = torch.randperm(
            len(dataset), generator=torch.Generator().manual_seed(config.seed * 1009 + epoch)
        ).tolist()
        if len(order) < config.batch and group.size > 1:
            raise ValueError(f"{config.data} has {len(order)} frames, too few for one batch of {config.batch}")
        whole = len(order) - len(order) % config.batch or len(order)  # a folder smaller than a batch is one
        chosen = order[skip * config.batch : whole]
        loader: DataLoader = DataLoader(
            dataset, local, sampler=chosen[group.rank :: group.size], num_workers=config.workers, collate_fn=collate
        )
        yield from loader
        epoch, skip = epoch + 1, 0
