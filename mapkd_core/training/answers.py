# SPDX-License-Identifier: Apache-2.0
"""What frozen teachers answer, on disk: computed once, read by every student of every scheme and seed.

It needs fixed variants of the frames (`TrainConfig.variants`): row v F + i is variant v of frame i of F. A teacher's
folder is named after all that its answers depend on: its weights, the frames, the variants and the precision. Each
field of MapOutput that some scheme reads is one mapped float16 array, rows first, beside an array of which rows are
there, so that a killed run goes on and another scheme adds its fields. Of `queries` the last refinement is kept.
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, DataLoader, Subset
from tqdm import tqdm

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.data.batch import TrainingSet, collate
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.training.answer_store import AnswerStore, parts_of
from mapkd_core.training.autocast import autocast, precision_of

_AUGMENTATION = ("mirror", "turn", "shift", "calibration_noise", "camera_dropout", "variants")


def attach(scheme: Scheme, hashes: dict[str, str], config: TrainConfig, device: torch.device) -> int:
    """Let the scheme read stored answers of all of its teachers; what is missing is computed first.

    hashes: teacher's name -> sha256 of its weights. Returns of how many frames there are answers; raises ValueError
    where the folder grew between two teachers.
    """
    frames = set()
    for name, network in scheme.frozen.items():
        assert isinstance(network, MapModel)
        store = filled(network, hashes[name], config, scheme.reads, device)
        scheme.stored[name] = lambda rows, store=store: store.read(rows, scheme.reads)
        frames.add(store.rows // config.variants)
    check_grown(config.data, min(frames), max(frames))
    return max(frames)


def check_grown(folder: str, stored: int, frames: int) -> None:
    """Raises ValueError where a folder has other `frames` than there are answers of: rows would be other frames."""
    if stored != frames:
        raise ValueError(
            f"{folder} has {frames} frames now, the teachers' answers are stored of {stored}: let the set be finished "
            "first and then go on with --resume, which computes the answers anew, or leave `answers` out"
        )


def filled(
    network: MapModel, sha256: str, config: TrainConfig, fields: Sequence[str], device: torch.device
) -> AnswerStore:
    """The store of this teacher with the fields of every row; states how large it gets before it starts.

    Raises ValueError without fixed variants, and where the answers would take more than `config.answers_gb`.
    """
    if config.variants < 1:
        raise ValueError(f"answers = {config.answers!r} needs variants >= 1, not {config.variants}: answers of frames "
                         "that look new in every epoch cannot be kept")  # fmt: skip
    own = replace(config, model=network.config)
    first = TrainingSet(config.data, own)
    sets = [copy.copy(first) for _ in range(config.variants)]  # of one look at the folder, which may be growing
    for variant, dataset in enumerate(sets):
        dataset.epoch = variant
    store = AnswerStore(
        Path(config.answers) / _name(network, sha256, config, sets[0], device), len(sets) * len(sets[0])
    )
    with _locked(store.folder):
        missing = store.missing(fields)
        if len(missing):
            _check_size(network, config, store, missing, fields, sets[0], device)
            frames = Subset(ConcatDataset(sets), missing.tolist())
            loader = DataLoader(frames, config.batch, num_workers=config.workers, collate_fn=collate)
            for batch in tqdm(loader, "teacher's answers", unit="batch", mininterval=2.0):
                assert batch.rows is not None
                store.write(batch.rows.numpy(), _answer(network, batch.to(device), config, device), fields)
    return store


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time: another run with this teacher waits until the answers are there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@torch.no_grad()
def _answer(network: MapModel, batch: Any, config: TrainConfig, device: torch.device) -> MapOutput:
    network.eval()
    with autocast(config, device):
        output: MapOutput = network(*batch.inputs())
    return output


def _check_size(
    network: MapModel, config: TrainConfig, store: AnswerStore, missing: NDArray[np.int64], fields: Sequence[str],
    dataset: TrainingSet, device: torch.device,
) -> None:  # fmt: skip
    output = _answer(network, dataset[0].to(device), config, device)
    new = {n: t.numel() for n, t in parts_of(output, fields).items() if not (store.folder / f"{n}.npy").is_file()}
    size = 2e-9 * store.rows * sum(new.values())
    tqdm.write(f"{store.folder}: {len(missing)} of {store.rows} answers to compute, {size:.2f} GB for {', '.join(new)}")
    if size > config.answers_gb:
        raise ValueError(f"the answers would take {size:.3g} GB in {config.answers}, answers_gb allows "
                         f"{config.answers_gb:g}: raise it, take fewer variants, or leave `answers` empty "
                         "(`mapkd bench distill --answers-gb 0`)")  # fmt: skip


def _name(network: MapModel, sha256: str, config: TrainConfig, dataset: TrainingSet, device: torch.device) -> str:
    """The start of the weights' hash, and of the hash of all else that the answers depend on."""
    folder = dataset.samples
    told = {key: getattr(config, key) for key in _AUGMENTATION} | {
        "precision": precision_of(config, device),
        "frames": [_written(path) for name in folder.names for path in sorted(folder.folder.glob(f"{name}.*.np[yz]"))],
        "model": to_dict(network.config),
    }
    return f"{sha256[:12]}-{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]}"


def _written(path: Path) -> list[Any]:
    """Says that a file is another one without reading it: a set that is rendered anew may be as large as before."""
    told = path.stat()
    return [path.name, told.st_size, told.st_mtime_ns]
