# SPDX-License-Identifier: Apache-2.0
"""Training in stages, each with the weights of those before it: refinement, teacher, coach, student.

out/<stage> is the run folder of a stage. One that is finished is not trained again, an interrupted one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapkd_core.config import TrainConfig
from mapkd_core.training import refine
from mapkd_core.training.checkpoint import read_card
from mapkd_core.training.checks import uses_coach
from mapkd_core.training.going_on import ROUNDING, changed
from mapkd_core.training.joined import joined
from mapkd_core.training.loop import train
from mapkd_core.training.stage_checks import check_networks, check_stage_frames

STAGES = ("refinement", "teacher", "coach", "student")
COACH_LEARNS = {"tgpd_teacher": 0.8, "msrd_teacher": 0.8}  # weights of MapKD's coach script


def run(configs: Mapping[str, TrainConfig], out: Path) -> dict[str, Path]:
    """Stage -> its weights. configs: what each stage is asked for, in the order of training.

    A stage with a scheme learns from the teacher, a student also from the coach where its scheme listens to one; a
    network with a refinement starts from the pretrained one. What some stage would refuse is refused before the first:
    raises what `check` raises, and ValueError or FileNotFoundError for frames that lack something.
    """
    plan = planned(configs, out)
    for name, modalities in check(configs, out).items():
        check_stage_frames(plan[name], name, modalities)
    # First, since one process does it alone; it needs nothing of the others.
    done = {name: _stage(name, config, out / name) for name, config in plan.items() if name == "refinement"}
    with joined():
        done |= {name: _stage(name, config, out / name) for name, config in plan.items() if name != "refinement"}
    return {name: done[name] for name in plan}


def check(configs: Mapping[str, TrainConfig], out: Path) -> dict[str, list[str]]:
    """Stages that are still to train -> modalities that they want of their frames, which are not looked at.

    Raises ValueError for an unknown stage, one that had other settings before, and networks, schemes and settings that
    do not go together; FileNotFoundError for weights that are missing and are not those of an earlier stage.
    """
    if unknown := [name for name in configs if name not in STAGES]:
        raise ValueError(f"stage {unknown[0]!r} is unknown; known: {', '.join(STAGES)}")
    plan = planned(configs, out)
    for name, config in plan.items():
        if apart := changed(_found(out / name, _weights(name, out)), config, ROUNDING):
            folder = out / name
            raise ValueError(f"{folder} was trained with other settings ({', '.join(apart)}): choose another --out")
    return check_networks(plan, {name: _weights(name, out) for name in plan})


def planned(configs: Mapping[str, TrainConfig], out: Path) -> dict[str, TrainConfig]:
    """What each stage is trained with, by the paths that the weights of earlier ones are going to have."""
    plan: dict[str, TrainConfig] = {}
    for name, config in configs.items():
        plan[name] = handed_on(name, config, {earlier: _weights(earlier, out) for earlier in plan})
    return plan


def handed_on(name: str, config: TrainConfig, done: Mapping[str, Path]) -> TrainConfig:
    """The stage's settings with the weights of earlier stages, where it does not name its own teacher or coach."""
    given = {stage: str(path) for stage, path in done.items()}
    if name == "refinement" or (name == "teacher" and not config.teacher):
        # `scheme=` on the command line is meant for the taught
        config = replace(config, scheme="", scheme_settings={}, teacher="", coach="")
    if config.scheme:
        config = replace(config, teacher=config.teacher or given.get("teacher", ""))
        if name == "student" and uses_coach(config.scheme):
            config = replace(config, coach=config.coach or given.get("coach", ""))
        if name == "coach" and config.scheme == "mapkd":
            config = replace(config, scheme_settings=COACH_LEARNS | config.scheme_settings)
    has_refinement = name != "refinement" and config.model.refinement_layers
    # A stage's own comes before the file that a YAML names; `refinement=` is meant for those that have one.
    return replace(config, refinement=given.get("refinement", config.refinement) if has_refinement else "")


def _stage(name: str, config: TrainConfig, folder: Path) -> Path:
    weights = _weights(name, folder.parent)
    if weights.is_file():
        return weights
    resume = (folder / "last.pt").is_file()
    if name == "refinement":
        return refine.pretrain(config, folder, resume=resume)
    return train(config, folder, resume=resume)


def _weights(name: str, out: Path) -> Path:
    return out / name / (refine.FILE if name == "refinement" else "student.safetensors")


def _found(folder: Path, weights: Path) -> dict[str, Any]:
    """Settings that the folder's run had; by its card where it wrote no config.json, as refinements did not once."""
    told = folder / "config.json"
    if not told.is_file() and weights.is_file():
        return dict(read_card(weights)["training"])
    return dict(json.loads(told.read_text())) if told.is_file() else {}
