# SPDX-License-Identifier: Apache-2.0
"""Weights come back as they went; what is damaged, exchanged, foreign or able to run code is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import load_training, load_weights, read_card, save_training, save_weights


@pytest.fixture
def weights(tmp_path, tiny) -> Path:
    path = tmp_path / "student.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"validation": {"miou": 12.5}})
    return path


def _amend(path: Path, **changes: object) -> None:
    card = json.loads(path.with_suffix(".json").read_text()) | changes
    path.with_suffix(".json").write_text(json.dumps(card))


def _sign(path: Path) -> None:
    _amend(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_round_trip(weights, tiny):
    model, card = load_weights(weights)
    assert model.config == tiny and not model.training
    assert card["validation"] == {"miou": 12.5}
    saved = load_file(weights)
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())
    assert sorted(p.name for p in weights.parent.iterdir()) == ["student.json", "student.safetensors"]


def test_a_kill_between_the_two_names_leaves_no_weights_that_look_finished(tmp_path, tiny, monkeypatch):
    """Where weights are, their card is: a run without weights goes on, one with weights is taken for done."""
    renamed = []

    def rename_one(self: Path, target: Path) -> None:
        if renamed:
            raise KeyboardInterrupt
        renamed.append(os.replace(self, target))

    monkeypatch.setattr(Path, "replace", rename_one)
    with pytest.raises(KeyboardInterrupt):
        save_weights(tmp_path / "student.safetensors", build(tiny).state_dict(), tiny, {})
    assert [path.name for path in tmp_path.iterdir()] == ["student.json"]


def test_damaged_weights_are_refused(weights):
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"its card says .*damaged or exchanged"):
        load_weights(weights)


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_refused(weights, schema):
    _amend(weights, schema=schema)
    with pytest.raises(ValueError, match=f"has schema {schema!r}, this version reads 1"):
        load_weights(weights)


def test_missing_card_and_missing_weights_are_named(weights):
    weights.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"student\.json is missing; weights are a pair"):
        read_card(weights)
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors is missing"):
        load_weights(weights.with_name("nothing.safetensors"))


@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_card_that_is_no_card_is_refused(weights, text):
    weights.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"is not valid JSON|schema None"):
        load_weights(weights)


def test_card_without_the_network_is_refused(weights):
    _amend(weights, model=None)
    with pytest.raises(ValueError, match="no 'model' settings"):
        load_weights(weights)


def test_parameters_of_another_network_are_refused(weights, tiny):
    save_file({"layer1.weight": torch.zeros(3)}, weights)
    _sign(weights)
    with pytest.raises(ValueError, match=r"parameters missing .*1 unexpected \['layer1.weight'\]"):
        load_weights(weights)


def test_parameters_of_another_width_are_refused(weights, tiny):
    save_file(build(replace(tiny, bev_width=16)).state_dict(), weights)
    _sign(weights)
    with pytest.raises(ValueError, match=r"of another shape \['decoder"):
        load_weights(weights)


class _Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_pickle_in_disguise_is_refused_unread(weights, tmp_path):
    mark = tmp_path / "executed"
    weights.write_bytes(pickle.dumps(_Trap(mark)))
    _sign(weights)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_weights(weights)
    assert not mark.exists()


def test_pickle_in_a_training_checkpoint_is_refused_unread(tmp_path):
    mark = tmp_path / "executed"
    torch.save({"model": _Trap(mark)}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"cannot be read .*damaged or no checkpoint"):
        load_training(tmp_path / "last.pt")
    assert not mark.exists()


def test_training_state_round_trip(tmp_path):
    state = {"model": {"w": torch.arange(3.0)}, "step": 7, "config": {"data": "x", "list": [1, 2]}}
    save_training(tmp_path / "run" / "last.pt", state)
    found = load_training(tmp_path / "run" / "last.pt")
    assert torch.equal(found["model"]["w"], state["model"]["w"]) and found["config"] == state["config"]
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["last.pt"]


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run to resume"):
        load_training(tmp_path / "last.pt")
