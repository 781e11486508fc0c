# SPDX-License-Identifier: Apache-2.0
"""What a training in stages refuses before its first stage, and not after hours at the stage that is concerned.

Each scheme is made against fresh networks of the settings that earlier stages are going to have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from mapkd_core import distillation
from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.data.fit import check_reach
from mapkd_core.data.samples import SampleFolder
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel
from mapkd_core.training.autocast import precision_of
from mapkd_core.training.beginning import initial
from mapkd_core.training.checkpoint import load_weights, read_card
from mapkd_core.training.checks import check_frames, check_queries, check_run, check_semantic, check_taught
from mapkd_core.training.optim import make_optimizer
from mapkd_core.training.refine import start
from mapkd_core.training.refine_state import check_same, fresh


def check_networks(configs: Mapping[str, TrainConfig], weights: Mapping[str, Path]) -> dict[str, list[str]]:
    """Stages that are still to train -> modalities that they want of every frame.

    configs: with the weights of earlier stages, which need not be there yet. weights: where those of a stage are going
    to be. Raises ValueError and FileNotFoundError, with the stage's name, for what the stage would refuse.
    """
    coming: dict[str, MapModel] = {}
    trained = {str(weights[name]): config for name, config in configs.items()}
    wanted: dict[str, list[str]] = {}
    for name, config in configs.items():
        path, found = weights[name], list[str]()
        with _named(name):
            check_run(config)
            if name == "refinement":
                make_optimizer(fresh(config.model), config)
            elif path.is_file():
                coming[str(path)] = build(config.model)
            else:
                _check_refinement(config, configs, weights)
                coming[str(path)], found = _check(config, coming, trained)
        if not path.is_file():
            wanted[name] = found
    return wanted


def check_stage_frames(config: TrainConfig, name: str, modalities: Iterable[str]) -> None:
    """Raises FileNotFoundError and ValueError, with the stage's name, for frames that lack something."""
    with _named(name):
        if name == "refinement":
            check_reach(SampleFolder(config.data), config)
        else:
            check_frames(config, modalities)


@contextmanager
def _named(stage: str) -> Iterator[None]:
    """Errors in the block say which stage they are of."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"stage {stage}: {error}") from error


def _check(
    config: TrainConfig, coming: Mapping[str, MapModel], trained: Mapping[str, TrainConfig]
) -> tuple[MapModel, list[str]]:
    """The stage's network as it begins, and what it and its teachers want of a frame."""
    check_taught(config)
    precision_of(config, torch.device("cpu"))
    model = initial(replace(config, refinement=""))
    make_optimizer(model, config)
    paths = {name: path for name in ("teacher", "coach") if (path := getattr(config, name))}
    teachers = [coming[path] if path in coming else load_weights(Path(path))[0] for path in paths.values()]
    if config.scheme:
        scheme = distillation.make(config.scheme, config.scheme_settings, config.model, *teachers)
        scheme.start(model)
        cards = {
            name: {"training": to_dict(trained[path])} if path in trained else read_card(Path(path))
            for name, path in paths.items()
        }
        check_queries(config.scheme, scheme.teaches_queries, cards["teacher"])
        check_semantic(config.scheme, scheme, cards)
    return model, sorted({m for network in (model, *teachers) for m in network.config.modalities})


def _check_refinement(config: TrainConfig, configs: Mapping[str, TrainConfig], weights: Mapping[str, Path]) -> None:
    """The refinement of an earlier stage, or a file's, is the network's."""
    if "refinement" in configs and config.refinement == str(weights["refinement"]):
        check_same(configs["refinement"].model, config.model, weights["refinement"])
    elif config.refinement:
        start(build(config.model), Path(config.refinement))
