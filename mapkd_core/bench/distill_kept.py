# SPDX-License-Identifier: Apache-2.0
"""What outlasts a machine of `mapkd bench distill`: results and settings of all runs, and the networks that teach.

A folder small enough for a repository: `take_over` puts what it has into the folder of the runs, where the bench then
goes on, and `keep` adds a finished run. Of students nothing but scores is kept, nobody learns from them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mapkd_core.bench.distill_config import Bench
from mapkd_core.bench.distill_rows import NETWORKS
from mapkd_core.config import ModelConfig, from_dict
from mapkd_core.training.checkpoint import read_weights, save_weights
from mapkd_core.writing import aside

_ALWAYS = ("config.json", "result.json")  # the result last: it says that the run is complete
_WEIGHTS = ("student.json", "student.safetensors")


def take_over(bench: Bench) -> list[str]:
    """Copy what is kept and not in the folder of the runs, nor begun there; returns these runs as row/seed."""
    taken = []
    for result in sorted((bench.kept / bench.size).glob("*/*/result.json")) if bench.kept else ():
        target = bench.run_folder(result.parent.parent.name, int(result.parent.name))
        if not target.exists():
            _copy(result.parent, target)
            taken.append(f"{target.parent.name}/{target.name}")
    return taken


def keep(bench: Bench, name: str, seed: int) -> None:
    """Copy a finished run to what is kept, where something is, and it is not there yet."""
    if bench.kept and not (bench.kept / bench.size / name / str(seed) / "result.json").is_file():
        _copy(bench.run_folder(name, seed), bench.kept / bench.size / name / str(seed), name in NETWORKS)


def halve(weights: Path) -> None:
    """Matrices and kernels of a network that teaches as float16, so that who has it has those very numbers for half.

    Before anybody learns from it; nothing is done a second time.
    """
    state, card = read_weights(weights)
    halves = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in state.items()}
    if any(halves[name].dtype != tensor.dtype for name, tensor in state.items()):
        rest = {key: value for key, value in card.items() if key not in ("schema", "sha256", "model")}
        save_weights(weights, halves, from_dict(ModelConfig, card["model"]), rest)


def _copy(source: Path, target: Path, with_weights: bool = True) -> None:
    for name in (*(_WEIGHTS if with_weights else ()), *_ALWAYS):
        if (source / name).is_file():
            with aside(target / name) as unfinished:
                shutil.copyfile(source / name, unfinished)
