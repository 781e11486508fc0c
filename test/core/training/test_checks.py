# SPDX-License-Identifier: Apache-2.0
"""What is refused before the first step."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from mapkd_core import cli, distillation
from mapkd_core.config import TrainConfig
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.loop import train
from mapkd_core.training.parallel import ALONE
from mapkd_core.training.refine import pretrain
from mapkd_core.training.run_state import RunState
from mapkd_core.types import LAYERS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher": "t"}, "teacher = 't' without a scheme, nobody would learn from it: set scheme to one of .*mapkd"),
        ({"coach": "c"}, "coach = 'c' without a scheme"),
        ({"scheme_settings": {"beta": 1}}, "scheme_settings = {'beta': 1} without a scheme.*or leave scheme_settings"),
        ({"scheme": "feature"}, "scheme = 'feature' needs a teacher"),
        ({"scheme": "feature", "teacher": "t", "coach": "c"}, "'feature' learns from the teacher alone.*\\(mapkd"),
        ({"scheme": "feature", "teacher": "t", "answers": "a"}, "answers = 'a' needs variants >= 1, not 0"),
    ],
)
def test_teachers_whom_nobody_asks_are_refused(settings, message, tmp_path, capsys):
    """By the command before it renders any worlds, too."""
    with pytest.raises(ValueError, match=message):
        train(TrainConfig(**settings), tmp_path / "run")
    given = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    assert cli.main(["train", *given, f"data={tmp_path}/data", "--out", str(tmp_path / "run")]) == 1
    assert re.search(message, capsys.readouterr().err) and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch", 0, "batch = 0: expected a number, at least 1"),
        ("checkpoint_every", 0, "checkpoint_every = 0: .*at least 1"),
        ("validate_every", -5, "validate_every = -5: .*at least 1"),
        ("workers", -1, "workers = -1: .*at least 0"),
        ("learning_rate", float("nan"), "learning_rate = nan"),
        ("clip", float("inf"), "clip = inf"),
        ("ema", 1.5, "ema = 1.5: expected a number, 0 to 1"),
        ("semantic_loss", "focal", "semantic_loss = 'focal'; known: softmax, sigmoid"),
        ("optimizer", "sgd", "optimizer = 'sgd'; known: muon, adamw, adam"),
    ],
)
@pytest.mark.parametrize("kind", ["whole", "refinement"])
def test_numbers_that_no_run_can_have_are_refused(tmp_path, tiny, kind, name, value, message):
    model = replace(tiny, refinement_layers=1, refinement_width=16) if kind == "refinement" else tiny
    with pytest.raises(ValueError, match=message):
        (pretrain if kind == "refinement" else train)(TrainConfig(model, **{name: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("scheme", "name", "value", "message"),
    [
        ("mapdistill", "patch", 0, "mapdistill.patch = 0: expected a number of more than 0"),
        ("mapkd", "token_width", -3, "mapkd.token_width = -3: .*more than 0"),
        ("response", "temperature", 0, "response.temperature = 0.0: .*more than 0"),
        ("channelwise", "temperature", float("nan"), "channelwise.temperature = nan"),
        ("bridgeta", "epsilon", float("inf"), "bridgeta.epsilon = inf"),
        ("foreground", "points", 0, "foreground.points = 0: .*more than 0"),
        ("foreground", "reach", -1, "foreground.reach = -1: expected a number of 0 or more"),
        ("inherit", "bev", -1, "inherit.bev = -1.0: expected a number of 0 or more"),
    ],
)
def test_numbers_that_no_scheme_can_have_are_refused(tmp_path, tiny, scheme, name, value, message):
    """Before a teacher is looked for."""
    with pytest.raises(ValueError, match=message):
        train(TrainConfig(tiny, scheme=scheme, scheme_settings={name: value}, teacher="none"), tmp_path / "run")


@pytest.mark.parametrize(("scheme", "settings", "refused"), [
    ("inherit", {}, True), ("inherit", {"inherit": "nothing"}, True), ("inherit", {"head": 0.0}, True),
    ("inherit", {"inherit": "nothing", "head": 0.0}, False), ("feature", {}, False),
])  # fmt: skip
def test_polylines_that_the_teacher_never_learned_are_not_taught(tiny, tmp_path, scheme, settings, refused):
    """As of the networks of config/train/paper, whose queries learn nothing."""
    path = tmp_path / "teacher.safetensors"
    weights = TrainConfig().weights | {"class": 0.0, "point": 0.0}
    save_weights(path, build(tiny).state_dict(), tiny, {"training": {"weights": weights}})
    config = TrainConfig(tiny, scheme=scheme, scheme_settings=settings, teacher=str(path))
    if not refused:
        assert RunState(build(tiny), config, ALONE).teachers["teacher"]
        return
    with pytest.raises(
        ValueError, match=f"{scheme} teaches the answers of .* weights class = 0.0 and point = 0.0; take"
    ):
        RunState(build(tiny), config, ALONE)


OFF = {"mapkd": {"msrd_teacher": 0.0}, "bridgeta": {"response": 0.0}, "inherit": {}}
ON = {"inherit": {"response": 2.0}}  # the others teach it unless told otherwise
OFF |= {"response": {"weight": 0.0}, "channelwise": {"weight": 0.0}}
DEAF = ("attention", "feature", "foreground", "mapdistill")  # they look elsewhere


@pytest.mark.parametrize("scheme", [*OFF, *DEAF])
@pytest.mark.parametrize("is_off", [False, True])
def test_classes_that_the_teacher_never_learned_are_not_taught(tiny, tmp_path, scheme, is_off):
    """As of config/train/paper/mapdistill_teacher.yaml, whose raster head learns nothing."""
    path, wanted = tmp_path / "teacher.safetensors", distillation.student_of(scheme, tiny)
    known = replace(tiny, modalities=("camera", "lidar"), lidar_width=8)
    weights = TrainConfig().weights | {"semantic": 0.0, "dice": 0.0}
    save_weights(path, build(known).state_dict(), known, {"training": {"weights": weights}})
    off = OFF.get(scheme, {"relation": 0.0, "feature": 0.0} if scheme == "mapdistill" else {})
    given = off if is_off else ON.get(scheme, {})
    config = TrainConfig(wanted, scheme=scheme, scheme_settings=given, teacher=str(path))
    if is_off or scheme in DEAF:
        assert RunState(build(wanted), config, ALONE).teachers["teacher"]
        return
    told = f"{scheme} teaches the semantic map of the teacher, which .* semantic = 0.0 and dice = 0.0; "
    with pytest.raises(ValueError, match=f"{told}.*{', '.join(DEAF)}"):
        RunState(build(wanted), config, ALONE)


@pytest.mark.parametrize("learned", ["semantic", "dice"])
def test_one_of_both_losses_is_enough_and_of_layers_there_is_one(tiny, tmp_path, learned):
    path = tmp_path / "teacher.safetensors"
    weights = TrainConfig().weights | {"semantic": 0.0, "dice": 0.0} | {learned: 0.5}
    config = TrainConfig(tiny, scheme="response", teacher=str(path))
    save_weights(path, build(tiny).state_dict(), tiny, {"training": {"weights": weights}})
    RunState(build(tiny), config, ALONE)
    layers = replace(tiny, classes=LAYERS)
    save_weights(path, build(layers).state_dict(), layers, {"training": {"weights": weights}})
    config = TrainConfig(layers, scheme="bridgeta", teacher=str(path))
    if learned == "semantic":
        RunState(build(layers), config, ALONE)
        return
    with pytest.raises(ValueError, match=r"it had the weights semantic = 0\.0; take"):
        RunState(build(layers), config, ALONE)


def test_a_coach_is_asked_for_its_classes_too(tiny, tmp_path):
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("teacher", "coach")}
    for name, path in paths.items():
        weights = TrainConfig().weights | ({"semantic": 0.0, "dice": 0.0} if name == "coach" else {})
        save_weights(path, build(tiny).state_dict(), tiny, {"training": {"weights": weights}})
    config = TrainConfig(tiny, scheme="mapkd", **{name: str(path) for name, path in paths.items()})
    with pytest.raises(ValueError, match="mapkd teaches the semantic map of the coach, which learned nothing"):
        RunState(build(tiny), config, ALONE)
    RunState(build(tiny), replace(config, scheme_settings={"msrd_coach": 0.0}), ALONE)


def test_a_run_does_not_go_on_with_another_teacher(tiny, tmp_path):
    path = tmp_path / "teacher.safetensors"
    config = TrainConfig(tiny, scheme="feature", teacher=str(path))
    save_weights(path, build(tiny).state_dict(), tiny, {})
    RunState(build(tiny), config, ALONE).save(tmp_path / "last.pt")
    RunState(build(tiny), config, ALONE).restore(tmp_path / "last.pt")
    save_weights(path, build(tiny).state_dict(), tiny, {})
    with pytest.raises(ValueError, match=r"last.pt learned from another teacher, of sha256 .*, this one has .*; start"):
        RunState(build(tiny), config, ALONE).restore(tmp_path / "last.pt")
