# SPDX-License-Identifier: Apache-2.0
"""Training in stages, each with the weights of those before it: refinement, teacher, coach, student.

out/<stage> is the run folder of a stage. One that is finished is not trained again, an interrupted one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.training import refine
from mapkd_core.training.loop import train

STAGES = ("refinement", "teacher", "coach", "student")


def run(configs: Mapping[str, TrainConfig], out: Path) -> dict[str, Path]:
    """Stage -> its weights. configs: what each stage is asked for, in the order of training.

    A stage with a scheme learns from the teacher, a student also from the coach; a network with a refinement starts
    from the pretrained one. Raises ValueError for an unknown stage, and for one that had other settings before.
    """
    if unknown := [name for name in configs if name not in STAGES]:
        raise ValueError(f"stage {unknown[0]!r} is unknown; known: {', '.join(STAGES)}")
    done: dict[str, Path] = {}
    for name, config in configs.items():
        done[name] = _stage(name, handed_on(name, config, done), out / name)
    return done


def handed_on(name: str, config: TrainConfig, done: Mapping[str, Path]) -> TrainConfig:
    """The stage's settings with the weights of earlier stages, where it does not name its own."""
    given = {stage: str(path) for stage, path in done.items()}
    if name in ("refinement", "teacher") and not config.teacher:
        config = replace(config, scheme="", scheme_settings={})  # `scheme=` on the command line is meant for the taught
    if config.scheme:
        config = replace(config, teacher=config.teacher or given.get("teacher", ""))
        if name == "student":
            config = replace(config, coach=config.coach or given.get("coach", ""))
    if name != "refinement" and config.model.refinement_layers:
        config = replace(config, refinement=config.refinement or given.get("refinement", ""))
    if not config.model.refinement_layers:
        config = replace(config, refinement="")  # `refinement=` is meant for those that have one
    return config


def _stage(name: str, config: TrainConfig, folder: Path) -> Path:
    weights = folder / (refine.FILE if name == "refinement" else "student.safetensors")
    told = folder / "config.json"
    if told.is_file() and (changed := _changed(json.loads(told.read_text()), config)):
        raise ValueError(f"{folder} was trained with other settings ({', '.join(changed)}): choose another --out")
    if weights.is_file():
        return weights
    if name == "refinement":
        return refine.pretrain(config, folder)
    return train(config, folder, resume=(folder / "last.pt").is_file())


def _changed(found: Mapping[str, object], config: TrainConfig) -> list[str]:
    wanted = to_dict(config)
    return [
        key for key, value in wanted.items() if key not in ("workers", "checkpoint_every") and found.get(key) != value
    ]
