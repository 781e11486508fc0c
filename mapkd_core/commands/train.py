# SPDX-License-Identifier: Apache-2.0
"""Train a student network from nothing.

Settings come from the defaults in mapkd_core/config.py, then the YAML, then key=value on the command line, e.g.
`minutes=90 model.bev_width=48`. `steps=N` there trains N steps, whatever `minutes` the YAML has. The run folder gets
config.json, log.jsonl, curves for TensorBoard, last.pt (to resume from) and the averaged weights student.safetensors
with their card. On 2 cores a frame takes about 0.25 s; a CUDA device is used where there is one. `mapkd ship` makes the
result the shipped weights.

Where the default folders of samples, out/data/train and out/data/validation, are absent, they are rendered first;
others with --worlds alone. A rendering that was stopped is finished by the next run.

--resume goes on from last.pt with the same settings; steps, minutes, workers and what else changes nothing of what was
learned may be others.

--stages trains several networks, one after the other and each from those before it, with one YAML a stage in the same
order; key=value holds for all of them. DIR/<stage> is a run folder, and the same command goes on where it was stopped.
Under torchrun all processes train the one network: `torchrun --nproc-per-node=4 -m mapkd_core.cli train ...`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands.result import Result

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig

EXAMPLE = """mapkd train config/train/student.yaml minutes=90 --out out/train
  mapkd train --stages teacher,coach,student TEACHER.yaml COACH.yaml STUDENT.yaml --out out/staged"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings", nargs="*", metavar="YAML | key=value", help="a configuration file, and settings to change"
    )
    parser.add_argument("--out", type=Path, default=Path("out/train"), metavar="DIR", help="run folder")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/last.pt; stages always do")
    parser.add_argument(
        "--stages", metavar="A,B,...", help="of refinement, teacher, coach, student: one YAML each, weights handed on"
    )
    parser.add_argument(
        "--refinement", action="store_true", help="pretrain a teacher's refinement on true maps instead of the network"
    )
    parser.add_argument(
        "--worlds", type=int, metavar="N", help="render N training worlds where data is absent; 400 in out/data/train"
    )
    parser.add_argument("--frames", type=int, metavar="F", help="frames of each of these worlds; 16 if absent")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.config import TrainConfig, load
    from mapkd_core.training.checkpoint import load_training
    from mapkd_core.training.checks import check_taught
    from mapkd_core.training.going_on import check_settings
    from mapkd_core.training.loop import train
    from mapkd_core.training.refine import pretrain

    files = [s for s in options.settings if "=" not in s]
    for name in ("worlds", "frames"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise ValueError(f"{name} = {value}; must be at least 1")
    if options.stages:
        return _staged(options, files)
    if len(files) > 1:
        raise ValueError(
            f"{len(files)} configuration files ({', '.join(files)}); give one, and key=value for what differs"
        )
    config = load(TrainConfig, files[0] if files else None, _changes(options.settings))
    if options.resume and not (options.out / "last.pt").is_file():
        raise FileNotFoundError(
            f"{options.out / 'last.pt'} is missing: nothing to resume; leave --resume out to start afresh"
        )
    if not options.resume and (options.out / "last.pt").is_file():
        raise ValueError(f"{options.out} holds a run already; go on with --resume, or choose another --out")
    # Told before minutes of rendering.
    check_taught(config)
    if options.resume:
        check_settings(options.out / "last.pt", load_training(options.out / "last.pt"), config)
    _render_where_absent([config], options)
    learn = pretrain if options.refinement else train
    weights = learn(config, options.out, options.resume)
    card = json.loads(weights.with_suffix(".json").read_text())
    summary = {"weights": str(weights), "sha256": card["sha256"], "validation": card["validation"]}
    scores = ", ".join(f"{name} {value}" for name, value in card["validation"].items()) or "none"
    after = f"refinement={weights}" if options.refinement else f"make them the shipped ones: mapkd ship {options.out}"
    return Result(summary, f"{weights}\nvalidation: {scores}\n{after}")


def _staged(options: argparse.Namespace, files: list[str]) -> Result:
    from mapkd_core.config import TrainConfig, load
    from mapkd_core.training import stages

    names = options.stages.split(",")
    if len(names) != len(files):
        raise ValueError(
            f"{len(names)} stages ({', '.join(names)}), {len(files)} configuration files: one each, in order"
        )
    changes = _changes(options.settings)
    configs = {name: load(TrainConfig, file, changes) for name, file in zip(names, files, strict=True)}
    stages.check(configs, options.out)  # before minutes of rendering
    _render_where_absent(list(configs.values()), options)
    weights = stages.run(configs, options.out)
    cards = {name: json.loads(path.with_suffix(".json").read_text()) for name, path in weights.items()}
    summary = {name: {"weights": str(weights[name]), "validation": card["validation"]} for name, card in cards.items()}
    return Result(summary, "\n".join(f"{name}: {row['weights']} {row['validation']}" for name, row in summary.items()))


def _changes(settings: Sequence[str]) -> list[str]:
    """The key=value among them. Who says how many steps means steps, whatever `minutes` a YAML has."""
    changes = [s for s in settings if "=" in s]
    keys = {s.partition("=")[0] for s in changes}
    return [*changes, "minutes=0"] if "steps" in keys and "minutes" not in keys else changes


def _render_where_absent(configs: Sequence[TrainConfig], options: argparse.Namespace) -> None:
    """By one process; what must not be rendered is refused by all."""
    from mapkd_core.data.rendered_set import check_there, render
    from mapkd_core.training.joined import by_the_first

    for config in configs:
        check_there(config, options.worlds is not None)

    def work() -> None:
        for config in configs:
            render(config, options.worlds, options.frames)

    by_the_first(work)
