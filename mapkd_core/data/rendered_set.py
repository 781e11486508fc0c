# SPDX-License-Identifier: Apache-2.0
"""Procedural worlds that a training renders for itself, where its folders of samples are absent.

A file lies in such a folder from before its first world until after its last and tells what it is to hold: a rendering
that was stopped is finished by the next training, and not taken for the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mapkd_core.config import ModelConfig, TrainConfig
from mapkd_core.data import seeds
from mapkd_core.data.generate import generate
from mapkd_core.reading import parse_json
from mapkd_core.writing import write_json

UNFINISHED = "rendering.json"
WORLDS, FRAMES = 400, 16  # of training, where nobody says otherwise
VALIDATION_SHARE, VALIDATION_FRAMES = 25, 10  # one world for so many of training


def check_there(config: TrainConfig, is_asked: bool) -> None:
    """Raises FileNotFoundError for a folder that is absent and is not to be rendered.

    is_asked: whether worlds were asked for. Otherwise they are rendered into the default folders alone: a mistyped path
    must not be trained on unsaid. For nuScenes' samples they never stand in.
    """
    for name in ("data", "validation"):
        path, default = Path(getattr(config, name)), Path(getattr(TrainConfig(), name))
        if path.exists():
            continue
        if "nuscenes" in path.parts:
            raise FileNotFoundError(
                f"{path} is not there: write it with `mapkd nuscenes samples ROOT --split NAME --out {path}`, or give "
                "the folders of other samples (data=DIR validation=DIR)"
            )
        if not is_asked and path != default:
            raise FileNotFoundError(
                f"{name} = {path} is not there: correct it, write it with `mapkd dataset`, or add --worlds N, which "
                "renders procedural worlds where a folder is absent"
            )


def render(config: TrainConfig, worlds: int | None = None, frames: int | None = None) -> None:
    """Training and validation samples where their folders are absent, or were begun here and not finished.

    worlds, frames of a world: of training; None takes those that were begun, or WORLDS and FRAMES. Raises ValueError
    for a folder that was begun for another network.
    """
    model, training, validation = config.model, Path(config.data), Path(config.validation)
    _finish(training, {"worlds": worlds, "frames": frames}, {"worlds": WORLDS, "frames": FRAMES}, seeds.TRAINING, model)
    share = {"worlds": max(1, (worlds or WORLDS) // VALIDATION_SHARE), "frames": VALIDATION_FRAMES}
    _finish(validation, {}, share, seeds.VALIDATION, model)


def _finish(
    folder: Path, asked: dict[str, int | None], default: dict[str, int], split: range, model: ModelConfig
) -> None:
    """asked: what counts where it is not None; then what was begun; then the default."""
    note = folder / UNFINISHED
    if folder.exists() and not note.is_file():
        return
    begun = parse_json(note.read_bytes(), str(note)) if note.is_file() else {}
    pictures = {"image_height": model.image_height, "image_width": model.image_width, "layers": model.overlapping}
    _check_pictures(folder, begun, pictures)
    size = default | {name: begun[name] for name in default if name in begun}
    size |= {name: value for name, value in asked.items() if value is not None}
    write_json(note, size | pictures)
    generate(folder, size["worlds"], size["frames"], split.start, model)
    note.unlink(missing_ok=True)


def _check_pictures(folder: Path, begun: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises ValueError where worlds of another network are there already: a set has pictures of one size."""
    told = {name: begun.get(name, value) for name, value in wanted.items()}
    if told != wanted:
        raise ValueError(
            f"{folder} was begun for a network with {told} and is not finished, this one has {wanted}: finish it with "
            "that one, remove it, or choose another folder (data=DIR validation=DIR)"
        )
