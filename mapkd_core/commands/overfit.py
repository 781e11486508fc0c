# SPDX-License-Identifier: Apache-2.0
"""Train on a handful of frames until they are learned by heart: does the network learn at all?

Renders one procedural world, trains on its frames without any augmentation, and reports IoU on the very same
frames, in percent. A change of network or losses that cannot reach high values here will not reach them anywhere.
Settings are those of `mapkd train`; a minute or two on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

EXAMPLE = "mapkd overfit --steps 150 model.view=lift_splat"
_PLAIN = {"camera_dropout": 0.0, "mirror": False, "turn": 0.0, "shift": 0.0, "calibration_noise": 0.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", nargs="*", metavar="key=value", help="training settings that differ")
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="training steps")
    parser.add_argument("--frames", type=int, default=2, metavar="F", help="frames to learn")
    parser.add_argument("--seed", type=int, default=seeds.TRAINING.start, metavar="S", help="procedural world")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.config import TrainConfig, load
    from mapkd_core.data.generate import generate
    from mapkd_core.training.loop import train

    if options.steps < 1 or options.frames < 1:
        raise ValueError(f"steps = {options.steps}, frames = {options.frames}; both must be at least 1")
    with tempfile.TemporaryDirectory(prefix="mapkd-overfit-") as folder:
        plain = [f"{name}={str(value).lower()}" for name, value in _PLAIN.items()]
        fixed = [
            f"data={folder}/data",
            f"validation={folder}/data",
            f"steps={options.steps}",
            f"batch={options.frames}",
        ]
        chosen = ["minutes=0", "warmup=20", "ema=0.9", "workers=0", "precision=fp32"]
        config = load(TrainConfig, None, [*plain, *chosen, *fixed, *options.settings])
        generate(Path(config.data), 1, options.frames, options.seed, config.model, workers=1)
        weights = train(config, Path(folder) / "run")
        scores = json.loads(weights.with_suffix(".json").read_text())["validation"]
    text = ", ".join(f"{name} {value}" for name, value in scores.items())
    return Result({"steps": options.steps, "frames": options.frames} | scores, f"after {options.steps} steps: {text}")
