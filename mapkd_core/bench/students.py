# SPDX-License-Identifier: Apache-2.0
"""Which student to build: short trainings of several view transforms and widths, on the same data, side by side.

Each network sees the same frames in the same order for the same number of steps, from the same seed. All start from
the camera encoder of the shipped student, since a fresh one learns nothing in so few steps (measured: 0.1 mIoU after
350); view transform, decoder and heads are fresh. That tells how fast a shape learns, not how good it gets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mapkd_core.bench import cost
from mapkd_core.bench.timing import interleaved, spread
from mapkd_core.config import ModelConfig, TrainConfig
from mapkd_core.data.samples import SampleFolder
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import plan
from mapkd_core.models.inference import make_runner
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.training.loop import train

# Name -> what differs from the shipped student.
SHAPES: Mapping[str, dict[str, Any]] = {
    "ground, 32 wide": {},
    "ground, 24 wide": {"bev_width": 24},
    "ground, 48 wide": {"bev_width": 48},
    "ground at 0 and 1 m, 32 wide": {"heights": (0.0, 1.0)},
    "lift-splat, 32 wide": {"view": "lift_splat"},
    "lift-splat, 24 wide": {"view": "lift_splat", "bev_width": 24},
}


def run(config: TrainConfig, steps: int, out: Path, names: list[str], repeats: int = 15) -> dict[str, Any]:
    """Train every named shape for `steps` and measure it; JSON-ready. What `out` holds already is not trained again."""
    trained = {name: _trained(config, name, steps, out / name.replace(", ", "-").replace(" ", "_")) for name in names}
    times = _forward_ms({name: path for name, (path, _) in trained.items()}, config, repeats)
    rows = {name: _row(path, config) | {"validation": found} for name, (path, found) in trained.items()}
    for name, ms in times.items():
        rows[name]["forward_ms"] = spread(ms)
    return {"schema": 1, "steps": steps, "batch": config.batch, "seed": config.seed, "students": rows}


def shaped(config: TrainConfig, name: str, steps: int) -> TrainConfig:
    """The run of one shape. Raises ValueError for an unknown name."""
    if name not in SHAPES:
        raise ValueError(f"student {name!r} is unknown; known: {'; '.join(SHAPES)}")
    model: ModelConfig = replace(config.model, **SHAPES[name])
    return replace(
        config, model=model, steps=steps, minutes=0.0, initial="", camera=str(SHIPPED), validate_every=steps + 1
    )


def _trained(config: TrainConfig, name: str, steps: int, folder: Path) -> tuple[Path, dict[str, float]]:
    weights = folder / "student.safetensors"
    wanted = shaped(config, name, steps)
    if not weights.is_file():
        train(wanted, folder, resume=(folder / "last.pt").is_file())
    card = json.loads(weights.with_suffix(".json").read_text())
    if card["training"]["steps"] != steps:
        raise ValueError(
            f"{folder} holds a run of {card['training']['steps']} steps, not {steps}; choose another folder"
        )
    return weights, card["validation"]


def _row(weights: Path, config: TrainConfig) -> dict[str, Any]:
    model, _ = load_weights(weights)
    images, table = _input(model.config, config)
    counted = cost.student_cost(model, torch.from_numpy(images)[None], torch.from_numpy(table)[None])
    return {key: counted[key] for key in ("parameters_m", "gflop")}


def _forward_ms(paths: Mapping[str, Path], config: TrainConfig, repeats: int) -> dict[str, list[float]]:
    """All networks in turns, in the runtime that the node uses."""
    calls: dict[str, Callable[[], object]] = {}
    for name, path in paths.items():
        model, card = load_weights(path)
        runner = make_runner(model, "auto", "cpu", card)
        images, table = _input(model.config, config)
        calls[name] = lambda runner=runner, images=images, table=table: runner(images, table)  # type: ignore[misc]
    return interleaved(calls, repeats)


def _input(model: ModelConfig, config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    prepared = SampleFolder(config.validation)[0].prepared
    return prepared.images, plan(model, prepared.K, prepared.ego_T_camera, prepared.valid)
