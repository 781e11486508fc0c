# SPDX-License-Identifier: Apache-2.0
"""What is refused before the first step: teachers that nobody asks, and frames that do not fit the networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mapkd_core import distillation
from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import TrainingSet
from mapkd_core.data.fit import check_apart, check_labelled
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel
from mapkd_core.training.losses import SEMANTIC
from mapkd_core.training.optim import OPTIMIZERS
from mapkd_core.training.validate import plain


def uses_coach(scheme: str) -> bool:
    """Whether a scheme listens to a coach beside the teacher. Raises ValueError for an unknown scheme."""
    return bool(getattr(distillation.load(scheme).Distil, "uses_coach", False))


# The least value of the run's numbers that no loop can do with less of.
_LEAST = {
    "batch": 1, "validate_every": 1, "checkpoint_every": 1, "workers": 0, "warmup": 0, "decay_every": 0, "clip": 0,
    "learning_rate": 0, "weight_decay": 0, "ema": 0, "camera_dropout": 0, "modality_dropout": 0, "turn": 0, "shift": 0,
    "calibration_noise": 0, "minutes": 0, "answers_gb": 0, "variants": 0,
}  # fmt: skip
_MOST = {"ema": 1, "camera_dropout": 1, "modality_dropout": 1}


def check_run(config: TrainConfig) -> None:
    """Raises ValueError for numbers of a run that are none, or too small or too large, and for unknown words."""
    for name, least in _LEAST.items():
        value, most = getattr(config, name), _MOST.get(name, math.inf)
        if not (math.isfinite(value) and least <= value <= most):
            limits = f"at least {least}" if most == math.inf else f"{least} to {most}"
            raise ValueError(f"{name} = {value!r}: expected a number, {limits}")
    for name, known in (("optimizer", OPTIMIZERS), ("semantic_loss", SEMANTIC)):
        if (word := getattr(config, name)) not in known:
            raise ValueError(f"{name} = {word!r}; known: {', '.join(known)}")


def check_taught(config: TrainConfig) -> None:
    """Raises ValueError for a teacher, coach or settings without a scheme, a scheme without a teacher or with unknown
    settings, a coach whom the scheme does not listen to, and answers of frames without fixed variants; and what
    `check_run` refuses.
    """
    check_run(config)
    if not config.scheme:
        for name in ("teacher", "coach", "scheme_settings"):
            if given := getattr(config, name):
                raise ValueError(
                    f"{name} = {given!r} without a scheme, nobody would learn from it: set scheme to one of "
                    f"{', '.join(distillation.available())}, or leave {name} out"
                )
        return
    distillation.settings_of(config.scheme, config.scheme_settings)
    if not config.teacher:
        raise ValueError(f"scheme = {config.scheme!r} needs a teacher: teacher=FILE.safetensors of `mapkd train`")
    if config.coach and not uses_coach(config.scheme):
        listening = ", ".join(name for name in distillation.available() if uses_coach(name))
        raise ValueError(
            f"coach = {config.coach!r}, but scheme {config.scheme!r} learns from the teacher alone: leave coach out, "
            f"or take a scheme that listens to one ({listening})"
        )
    if config.answers and config.variants < 1:
        raise ValueError(
            f"answers = {config.answers!r} needs variants >= 1, not {config.variants}: answers of frames that look new "
            "in every epoch cannot be kept"
        )


def check_queries(scheme: str, is_taught: bool, card: Mapping[str, Any]) -> None:
    """card: of the teacher. Raises ValueError where a scheme teaches polylines that the teacher never learned."""
    weights = card.get("training", {}).get("weights", {})
    if is_taught and any(weights.get(name) == 0 for name in ("class", "point")):
        raise ValueError(
            f"{scheme} teaches the answers of the teacher's query head, which learned nothing: it had the weights "
            f"class = {weights.get('class')} and point = {weights.get('point')}; take a teacher with both, or "
            "scheme_settings.head=0 (of inherit also scheme_settings.inherit=nothing)"
        )


def check_semantic(scheme: str, taught: Scheme, cards: Mapping[str, Mapping[str, Any]]) -> None:
    """cards: of the teachers by name. Raises ValueError where one of them teaches classes that it never learned."""
    for name, network in taught.frozen.items():
        assert isinstance(network, MapModel)
        losses = ("semantic",) if network.config.overlapping else ("semantic", "dice")
        weights = cards[name].get("training", {}).get("weights", {})
        if not taught.teaches_semantic(name) or any(weights.get(loss) != 0 for loss in losses):
            continue
        others = [each for each in distillation.available() if "semantic" not in distillation.load(each).Distil.reads]
        raise ValueError(
            f"{scheme} teaches the semantic map of the {name}, which learned nothing: it had the weights "
            f"{' and '.join(f'{loss} = {weights[loss]}' for loss in losses)}; take a {name} that learned it, a scheme "
            f"that does not look there ({', '.join(others)}), or set that loss's weight to 0 in scheme_settings"
        )


def check_frames(config: TrainConfig, modalities: Iterable[str]) -> None:
    """Refuses training and validation frames that lack something; validation is looked at where it is there.

    modalities: what student and teachers want of every training frame. Raises FileNotFoundError, ValueError.
    """
    training = TrainingSet(config.data, config, tuple(modalities)).samples
    if not config.model.overlapping:  # networks of layers mask what is not known
        check_labelled(training)
    if Path(config.validation).is_dir():
        check_apart(training, TrainingSet(config.validation, plain(config)).samples)
