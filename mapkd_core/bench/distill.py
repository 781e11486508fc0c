# SPDX-License-Identifier: Apache-2.0
"""Trains the rows of `mapkd bench distill`, one run after the other, each in a folder of its own.

out/<size>/<row>/<seed>/ holds config.json, log.jsonl, last.pt, the weights and, last of all, result.json. A run with a
result is never done again, one with a last.pt goes on from there. All students take the same steps on the same
variants of the same frames, in an order that the seed alone decides. out/<size>/answers keeps what teachers answer.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from mapkd_core import distillation
from mapkd_core.bench.distill_config import Bench, check_set, config, keep_camera, network
from mapkd_core.bench.distill_kept import halve, keep, take_over
from mapkd_core.bench.distill_rows import NETWORKS, order, rows
from mapkd_core.bench.distill_scores import scores
from mapkd_core.bench.machine import describe
from mapkd_core.config import TrainConfig, from_dict, to_dict
from mapkd_core.training import refine
from mapkd_core.training.answers import filled
from mapkd_core.training.checkpoint import load_weights, read_card
from mapkd_core.training.loop import train
from mapkd_core.writing import write_json


def run(
    bench: Bench, names: Sequence[str] = (), seeds: int = 3, ablation_seeds: int = 1, minutes: float = 0.0
) -> list[tuple[str, int]]:
    """Train what is missing; returns the runs that are still to do, because `minutes` > 0 are over.

    No run is begun after `minutes`. Raises ValueError for an unknown row or size, for a folder whose run had other
    settings, and for a damaged set; FileNotFoundError for one that is not there or not complete.
    """
    started, runs = time.monotonic(), order(names, seeds, ablation_seeds)
    keep_camera(bench)
    if taken := take_over(bench):
        print(f"from {bench.kept}: {', '.join(taken)}", flush=True)
    left = [one for one in runs if not is_done(bench, *one)]
    for one in runs:
        if one not in left:
            keep(bench, *one)  # of before there was a place to keep it
    if left:
        check_set(bench)
    while left and not 0 < 60 * minutes < time.monotonic() - started:
        _run(bench, *left.pop(0), runs)
    return left


def is_done(bench: Bench, name: str, seed: int) -> bool:
    """Whether the run has its result, by these very settings and teachers. Raises ValueError where others made it."""
    folder = bench.run_folder(name, seed)
    if not (folder / "result.json").is_file():
        return False
    found = json.loads((folder / "result.json").read_text())
    _same_settings(folder, bench, name, seed)
    for teacher, sha256 in found["teachers"].items():
        if read_card(bench.weights(teacher))["sha256"] != sha256:
            raise ValueError(f"{folder} learned from another {teacher}: remove it, so that it is trained again")
    if found.get("camera") and found["camera"] != _camera(config(bench, name, seed)):
        raise ValueError(
            f"{folder} began with another camera encoder than {bench.camera}: put that one there, of which the sha256 "
            f"is {found['camera']}, or remove the run, so that it is trained again"
        )
    return True


def _camera(wanted: TrainConfig) -> str:
    """sha256 of the weights that its camera encoder begins with; empty where it begins with nothing."""
    return hashlib.sha256(Path(wanted.camera).read_bytes()).hexdigest() if wanted.camera else ""


def _run(bench: Bench, name: str, seed: int, runs: Sequence[tuple[str, int]]) -> None:
    folder, wanted = bench.run_folder(name, seed), config(bench, name, seed)
    weights = folder / "student.safetensors"
    print(f"{name}, seed {seed}: {wanted.steps} steps into {folder}", flush=True)
    if (folder / "config.json").is_file():
        _same_settings(folder, bench, name, seed)
    if wanted.answers:
        _store_answers(bench, wanted, runs)
    if wanted.refinement and not Path(wanted.refinement).is_file():
        out = Path(wanted.refinement).parent
        refine.pretrain(network(bench, "refinement", wanted), out, resume=(out / "last.pt").is_file())
    if not weights.is_file():
        train(wanted, folder, resume=(folder / "last.pt").is_file())
    if name in NETWORKS:
        halve(weights)
    card = read_card(weights)
    taught = {t: read_card(Path(getattr(wanted, t)))["sha256"] for t in NETWORKS if getattr(wanted, t)}
    write_json(folder / "result.json", {
        "row": name, "seed": seed, "steps": wanted.steps, "sha256": card["sha256"], "teachers": taught,
        "seconds": card.get("seconds"), "precision": card.get("precision"), "camera": _camera(wanted),
        "machine": describe(torch.get_num_threads()), "scores": scores(weights, Path(wanted.validation).parent),
    })  # fmt: skip
    keep(bench, name, seed)


def _store_answers(bench: Bench, wanted: TrainConfig, runs: Sequence[tuple[str, int]]) -> None:
    """All that the schemes of these runs read, by one pass over each teacher."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = rows()
    for teacher in NETWORKS:
        if not getattr(wanted, teacher):
            continue
        readers = [
            known[n] for n, _ in runs if n in known and known[n].scheme and (teacher != "coach" or known[n].coach)
        ]
        fields = {f for row in readers for f in distillation.load(row.scheme).Distil.reads}
        frozen, card = load_weights(bench.weights(teacher))
        started = time.monotonic()
        filled(frozen.to(device), card["sha256"], wanted, sorted(fields), device)
        if (seconds := time.monotonic() - started) > 5:
            _add_seconds(bench.folder / "answers" / "seconds.json", teacher, seconds)


def _add_seconds(path: Path, teacher: str, seconds: float) -> None:
    told = json.loads(path.read_text()) if path.is_file() else {}
    write_json(path, told | {teacher: round(told.get(teacher, 0.0) + seconds, 1)})


def _same_settings(folder: Path, bench: Bench, name: str, seed: int) -> None:
    # A setting that came later had its default.
    found = to_dict(from_dict(TrainConfig, json.loads((folder / "config.json").read_text())))
    wanted = to_dict(config(bench, name, seed))
    # They change nothing of what is learned, but for rounding.
    free = ("answers", "answers_gb", "workers", "checkpoint_every", "precision")
    for key in ("teacher", "coach", "camera", "refinement"):  # wherever the runs are: their hashes are compared, too
        if wanted[key] and found.get(key):
            wanted[key] = found[key] = "/".join(Path(found[key]).parts[-3:])
    other = [key for key, value in wanted.items() if key not in free and found.get(key) != value]
    if other:
        raise ValueError(
            f"{folder} holds a run with {other[0]} = {found.get(other[0])!r}, now {wanted[other[0]]!r} is asked for: "
            "remove the folder, or choose another folder of --runs"
        )
