# SPDX-License-Identifier: Apache-2.0
"""Checkpoints to resume from, and the weights that ship.

A training checkpoint is read with `weights_only=True`; shipped weights are safetensors beside a JSON model card.
Neither can run code. Files are written aside and renamed, so that a kill leaves the old one whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mapkd_core.config import ModelConfig, from_dict, to_dict
from mapkd_core.models.build import build
from mapkd_core.models.map_model import MapModel
from mapkd_core.reading import parse_json
from mapkd_core.writing import aside

SCHEMA = 1  # major version of the model card; another one is refused


def save_training(path: Path, state: dict[str, Any]) -> None:
    """Tensors, numbers, strings, lists and dictionaries of them."""
    with aside(path) as unfinished:
        torch.save(state, unfinished)


def load_training(path: Path) -> dict[str, Any]:
    """What `save_training` wrote.

    Raises FileNotFoundError where nothing was written yet, ValueError for a file that is damaged or of another kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: there is no run to resume; start one without --resume")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    # On damaged bytes PyTorch's unpickler, which runs nothing of them, raises whatever it meets.
    except (pickle.UnpicklingError, struct.error, EOFError, LookupError, RuntimeError, ValueError, TypeError,
            AttributeError, ArithmeticError, AssertionError, MemoryError, OSError) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read ({reason}); it is damaged or no checkpoint: start afresh") from error
    if not isinstance(state, dict) or "config" not in state:
        raise ValueError(f"{path} holds no run of this version of mapkd; start afresh in another folder")
    return state


def save_weights(path: Path, state: dict[str, torch.Tensor], config: ModelConfig, card: dict[str, Any]) -> None:
    """`path` (.safetensors) and its card (.json), which carries the hash, the network's settings and `card`."""
    with weights_aside(path) as (unfinished, told):
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, unfinished)
        digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()
        told |= {"schema": SCHEMA, "sha256": digest, "model": to_dict(config)} | card


@contextmanager
def weights_aside(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A path for the weights and a card to fill: both get their names when both are written, the weights last.

    Who is killed between the two has no weights then, and goes on with the run; weights without their card would be
    taken for a finished one.
    """
    card: dict[str, Any] = {}
    with aside(path) as unfinished, aside(path.with_suffix(".json")) as card_aside:
        yield unfinished, card
        card_aside.write_text(json.dumps(card, indent=1) + "\n")


def read_card(path: Path) -> dict[str, Any]:
    """The model card of a weights file. Raises FileNotFoundError or ValueError with the remedy."""
    card_path = path.with_suffix(".json")
    for needed in (path, card_path):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} is missing; weights are a pair NAME.safetensors and NAME.json")
    try:
        card: dict[str, Any] = parse_json(card_path.read_bytes(), str(card_path))
    except ValueError as error:
        raise ValueError(f"{error}; take the card that came with the weights") from error
    found = card.get("schema") if isinstance(card, dict) else None
    if found != SCHEMA:
        raise ValueError(
            f"{card_path} has schema {found!r}, this version reads {SCHEMA}; train again or install a matching mapkd"
        )
    lost = card.get("miou_lost", {})
    if not isinstance(lost, dict) or not all(isinstance(value, int | float) for value in lost.values()):
        raise ValueError(
            f"{card_path}: miou_lost = {lost!r} must be points of mIoU by backend; see `mapkd ship --ways`"
        )
    _check_scales(card_path, card.get("int8_scales", {}))
    return card


def _check_scales(card_path: Path, scales: Any) -> None:
    """A step and a byte by name; raises ValueError for anything else."""
    pairs = list(scales.values()) if isinstance(scales, dict) else [None]
    for pair in pairs:
        is_pair = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], float) and isinstance(pair[1], int)
        if not is_pair or not 0 < pair[0] < math.inf or not 0 <= pair[1] <= 255:
            raise ValueError(
                f"{card_path}: int8_scales have {pair!r}, must be [step > 0, zero in 0..255] by activation; see `mapkd "
                "ship --ways`"
            )


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Parameters by name, and their card.

    Raises FileNotFoundError for missing files, ValueError for another schema, a wrong hash, a card without settings and
    a file that is not safetensors.
    """
    card = read_card(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != card.get("sha256"):
        raise ValueError(
            f"{path} has sha256 {digest}, its card says {card.get('sha256')}; one of the two is damaged or exchanged"
        )
    if not isinstance(card.get("model"), dict):
        raise ValueError(
            f"{path.with_suffix('.json')} has no 'model' settings; take the card that came with the weights"
        )
    try:
        return load_file(path), card
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}; other formats are refused") from error


def load_weights(path: Path) -> tuple[MapModel, dict[str, Any]]:
    """The network in eval mode, and its card.

    Raises what `read_weights` raises, and ValueError for parameters that do not fit.
    """
    state, card = read_weights(path)
    model = build(from_dict(ModelConfig, card["model"], "model."))
    _check_fit(path, state, model.state_dict())
    model.load_state_dict(state)
    return model.eval(), card


def _check_fit(path: Path, found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    missing, unexpected = sorted(wanted.keys() - found), sorted(found.keys() - wanted)
    reshaped = [name for name in wanted.keys() & found if wanted[name].shape != found[name].shape]
    if missing or unexpected or reshaped:
        raise ValueError(
            f"{path} does not fit its card: {len(missing)} parameters missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {unexpected[:3]}, {len(reshaped)} of another shape {sorted(reshaped)[:3]}; "
            "train again"
        )
