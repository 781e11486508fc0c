# SPDX-License-Identifier: Apache-2.0
"""The training loop. Out of it come `last.pt` (to resume from), `log.jsonl` and the averaged weights as safetensors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.data.batch import Batch, TrainingSet, collate
from mapkd_core.training.answers import check_grown
from mapkd_core.training.beginning import initial as _initial
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.checks import check_frames
from mapkd_core.training.descent import descend, names
from mapkd_core.training.joined import joined
from mapkd_core.training.log import Log
from mapkd_core.training.optim import schedule
from mapkd_core.training.parallel import ALONE, Group
from mapkd_core.training.run_state import RunState
from mapkd_core.training.validate import validate


def train(config: TrainConfig, out: Path, resume: bool = False) -> Path:
    """Train a student into `out`; returns the path of its weights.

    Under torchrun all processes train the one student, and the first writes. Raises FloatingPointError on a loss or a
    gradient that is not finite, naming the frames.
    """
    with joined() as group:
        return _train(config, out, resume, group)


def _train(config: TrainConfig, out: Path, resume: bool, group: Group) -> Path:
    torch.manual_seed(config.seed)
    run = RunState(_initial(config), config, group)
    progress = run.progress
    if resume:
        run.restore(out / "last.pt")
    check_frames(config, run.learning.modalities)
    log = Log(out, config, group, progress.step)
    bar = tqdm(total=1000, desc="train", unit="‰", mininterval=2.0, disable=not group.is_first)
    reported = progress.step
    batches = Timed(_batches(config, progress.step, run.learning.modalities, group, answered=run.answered))
    coming = iter(batches)
    is_done = _is_done(run)  # already, where a run was killed before its weights were written
    while not is_done:
        share = float(group.first_says(torch.tensor(progress.share, device=group.device)))
        for parameters in run.optimizer.param_groups:
            parameters["lr"] = config.learning_rate * schedule(progress.step, share, config)
        losses = _step(run, next(coming).to(group.device))
        run.update_average()
        progress.advance()
        is_done = _is_done(run)
        bar.n = round(1000 * share)
        if progress.step % 50 == 0:
            row = {"step": progress.step, "seconds": round(progress.seconds, 1)}
            speed = batches.report((progress.step - reported) * config.batch)
            reported = progress.step
            log.write(row | {k: round(v, 4) for k, v in losses.items()} | speed)
            bar.set_postfix(step=progress.step, loss=round(losses["total"], 4), **speed, refresh=True)
        if progress.step % config.validate_every == 0:
            log.write({"step": progress.step} | validate(run.average, config, group=group))
        if (progress.step % config.checkpoint_every == 0 or is_done) and group.is_first:
            run.save(out / "last.pt")
    bar.close()
    weights = _finished(run, out, log)
    log.close()
    return weights


def _is_done(run: RunState) -> bool:
    """By the first process's clock."""
    return bool(run.group.first_says(torch.tensor(run.progress.done, device=run.group.device)))


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


def _step(run: RunState, batch: Batch) -> dict[str, float]:
    run.learning.train()
    total, losses = run.stepping(batch)
    # Of the batch, and not of this process's share: what is not finite is then told by all.
    every = run.group.total(torch.stack([value.detach().float() for value in (*losses.values(), total)]))
    values = dict(zip((*losses, "total"), (every / run.group.size).tolist(), strict=True))
    rows = [] if batch.rows is None else batch.rows.tolist()
    descend(
        total, run.learning, run.optimizer, run.config.clip, told=values, frames=lambda: names(run.config.data, rows)
    )
    return values


def _batches(
    config: TrainConfig, first_step: int, modalities: Sequence[str] = ("camera",), group: Group = ALONE, *,
    answered: int = 0,
) -> Iterator[Batch]:  # fmt: skip
    """Endless; epoch e is the same shuffle in every run with the same seed and the same data.

    Of every step's frames each process of the group takes its share. The folder is read again for each epoch: a
    generator that runs beside the training adds to the next one. Where the teachers' answers of so many frames are
    stored (`answered`) it must not: raises ValueError.
    """
    local = group.local_batch(config.batch)
    epoch, skip = divmod(first_step, max(1, len(TrainingSet(config.data, config)) // config.batch))
    while True:
        dataset = TrainingSet(config.data, config, modalities)
        dataset.epoch = epoch
        if answered:
            check_grown(config.data, answered, len(dataset))
        shuffling = torch.Generator().manual_seed(config.seed * 1009 + epoch)
        order = torch.randperm(len(dataset), generator=shuffling).tolist()
        if len(order) < config.batch and group.size > 1:
            raise ValueError(f"{config.data} has {len(order)} frames, too few for one batch of {config.batch}")
        whole = len(order) - len(order) % config.batch or len(order)  # a folder smaller than a batch is one
        chosen = order[skip * config.batch : whole]
        loader: DataLoader = DataLoader(
            dataset, local, sampler=chosen[group.rank :: group.size], num_workers=config.workers, collate_fn=collate,
            generator=shuffling,  # else it draws from that of schemes, once more in a run that goes on amid an epoch
        )  # fmt: skip
        yield from loader
        epoch, skip = epoch + 1, 0
