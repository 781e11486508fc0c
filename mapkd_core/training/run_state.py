# SPDX-License-Identifier: Apache-2.0
"""All that a run has to remember: networks, their average, the optimizer, and how far it is."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
from torch import nn

from mapkd_core import distillation
from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.models.map_model import MapModel
from mapkd_core.training import going_on, randomness
from mapkd_core.training.answers import attach
from mapkd_core.training.autocast import precision_of
from mapkd_core.training.checkpoint import load_training, load_weights, save_training
from mapkd_core.training.checks import check_queries, check_semantic, check_taught
from mapkd_core.training.learning import Learning
from mapkd_core.training.optim import make_optimizer
from mapkd_core.training.parallel import Group

_TEACHERS = "scheme.frozen."  # they come from files of their own, and do not change


class RunState:
    """learning: all that learns; `stepping` is the same with gradients averaged over the processes of `group`.

    average: the student that is kept. precision: bf16 or fp32, as it is trained here.
    """

    def __init__(self, model: MapModel, config: TrainConfig, group: Group) -> None:
        check_taught(config)
        self.config, self.group = config, group
        self.precision = precision_of(config, group.device)
        self.model = model.to(group.device, memory_format=torch.channels_last)
        learning = Learning(config, self.model).to(group.device)
        self.teachers: dict[str, str] = {}  # name -> sha256 of its weights
        self.answered = 0  # frames of which the teachers' answers are stored
        if config.scheme:
            scheme, self.teachers = _scheme(config)
            scheme.start(self.model)
            learning["scheme"] = group.norms(scheme.to(group.device, memory_format=torch.channels_last))
            if config.answers:
                self.answered = _attach(scheme, self.teachers, config, group)
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        learning["model"] = self.model = group.norms(self.model)
        self.learning, self.stepping = learning, group.wrapped(learning)
        self.optimizer = make_optimizer(self.learning, config)
        self.progress = Progress(config)

    def update_average(self) -> None:
        """A young average forgets faster."""
        step = self.progress.step
        average_into(self.average, self.model, min(self.config.ema, (1 + step) / (10 + step)))

    def save(self, path: Path) -> None:
        """Everything, so that `restore` goes on as if nothing had happened."""
        learning = {k: v for k, v in self.learning.state_dict().items() if not k.startswith(_TEACHERS)}
        tensors = {"learning": learning, "average": self.average.state_dict()}
        progress = {"step": self.progress.step, "seconds": self.progress.seconds}
        content = tensors | progress | {"optimizer": self.optimizer.state_dict(), "config": to_dict(self.config)}
        content["teachers"] = self.teachers
        save_training(path, content | randomness.state(self.group.device))

    def restore(self, path: Path) -> None:
        """Raises ValueError where the run was of another network, taught in another way, or had other settings."""
        state = load_training(path)
        if "kind" in state:
            raise ValueError(f"{path} is of a {state['kind']} and no whole network: add --refinement, or start afresh")
        going_on.check(path, state, self.config, self.teachers)
        missing, unexpected = self.learning.load_state_dict(state["learning"], strict=False)
        if wrong := [*unexpected, *(name for name in missing if not name.startswith(_TEACHERS))]:
            raise ValueError(f"{path} was trained with another scheme: {wrong[0]} does not fit; start afresh")
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress.restore(state["step"], state["seconds"])
        randomness.restore(state, self.group.device)


def _attach(scheme: distillation.Scheme, hashes: dict[str, str], config: TrainConfig, group: Group) -> int:
    """One process computes what is missing, the others wait and read; returns the number of frames."""
    if not group.is_first:
        group.wait()
    frames = attach(scheme, hashes, config, group.device)
    if group.is_first:
        group.wait()
    return frames


def _scheme(config: TrainConfig) -> tuple[distillation.Scheme, dict[str, str]]:
    """The scheme, and the sha256 of the weights of each teacher."""
    paths = {name: Path(getattr(config, name)) for name in ("teacher", "coach") if getattr(config, name)}
    given = {name: load_weights(path) for name, path in paths.items()}
    networks = [network for network, _ in given.values()]
    scheme = distillation.make(config.scheme, config.scheme_settings, config.model, *networks)
    cards = {name: card for name, (_, card) in given.items()}
    check_queries(config.scheme, scheme.teaches_queries, cards["teacher"])
    check_semantic(config.scheme, scheme, cards)
    return scheme, {name: card["sha256"] for name, card in cards.items()}


@torch.no_grad()
def average_into(average: nn.Module, model: nn.Module, decay: float) -> None:
    """average = decay average + (1 - decay) model, in place; counters are copied."""
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


class Progress:
    """How far the run is: by steps, or by wall time where `minutes` is set. Raises ValueError where neither is."""

    def __init__(self, config: TrainConfig) -> None:
        if config.minutes <= 0 and config.steps < 1:
            raise ValueError(f"steps = {config.steps}, minutes = {config.minutes:g}: a run needs one of both")
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
