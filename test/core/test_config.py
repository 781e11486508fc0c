# SPDX-License-Identifier: Apache-2.0
"""Settings: defaults, YAML and overrides, and every wrong entry named with what was meant."""

from __future__ import annotations

import json

import pytest

from mapkd_core.config import ModelConfig, TrainConfig, from_dict, load, to_dict
from mapkd_core.grid import BevGrid


def test_nothing_said_is_the_default():
    assert load(TrainConfig) == TrainConfig()


def test_override_beats_file_and_file_beats_default(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("steps: 7\nbatch: 3\nmodel:\n  bev_width: 16\n  grid: {x_min: -15, x_max: 15}\n")
    config = load(TrainConfig, file, ["steps=9", "model.view=lift_splat"])
    assert (config.steps, config.batch) == (9, 3)
    assert config.model.bev_width == 16 and config.model.view == "lift_splat"
    assert config.model.grid == BevGrid(-15.0, 15.0)


def test_dictionary_round_trip_survives_json():
    config = load(TrainConfig, None, ["model.heights=[0, 0.5]", "weights.point=5"])
    assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_overrides_have_the_type_of_the_setting():
    config = load(TrainConfig, None, ["learning_rate=1", "mirror=false", "model.classes=[divider]"])
    assert isinstance(config.learning_rate, float) and config.mirror is False
    assert config.model.classes == ("divider",)


def test_one_loss_weight_leaves_the_others():
    weights = load(TrainConfig, None, ["weights.point=5"]).weights
    assert weights == TrainConfig().weights | {"point": 5.0}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.bev_widht=8", r"unknown setting model\.'bev_widht'; did you mean 'bev_width'"),
        ("stepz=8", "did you mean 'steps'"),
        ("weights.semantik=1", r"unknown setting weights\.'semantik'; known: semantic"),
        ("weights.point=many", r"weights\.point = 'many': expected a number"),
        ("steps=1.5", r"steps = 1\.5: expected int"),
        ("steps=true", "steps = True: expected int"),
        ("mirror=1", "mirror = 1: expected bool"),
        ("learning_rate=fast", "learning_rate = 'fast': expected float"),
        ("model.classes=divider", r"model\.classes = 'divider': expected a list"),
        ("model.grid.cell=-1", "empty grid"),
        ("steps", "write key=value"),
        ("steps.more=1", r"steps = \{'more': 1\}: expected int"),
        ("model=3", "model = 3: expected `key: value` pairs of image_height"),
    ],
)
def test_wrong_entries_are_named(override, message):
    with pytest.raises(ValueError, match=message):
        load(TrainConfig, None, [override])


def test_setting_inside_a_plain_value_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("model: 3\n")
    with pytest.raises(ValueError, match="model = 3 has no setting 'bev_width' inside"):
        load(TrainConfig, file, ["model.bev_width=8"])


def test_file_that_is_no_mapping_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("- 1\n- 2\n")
    with pytest.raises(ValueError, match="key: value"):
        load(ModelConfig, file)
