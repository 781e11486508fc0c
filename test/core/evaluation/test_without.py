# SPDX-License-Identifier: Apache-2.0
"""A teacher scored without some of its inputs: it answers as if a sample had never had them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.data.samples import write
from mapkd_core.evaluation.rendered import Predicting, predict_samples
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import MapElement


@pytest.fixture
def teacher(tmp_path, tiny, make_sample):
    """Weights, and folders of one sample: of all that the teacher gets, and of the same sample without LiDAR and HD."""
    points = np.random.default_rng(0).uniform(-3, 3, (400, 5)).astype(np.float32)
    sample = make_sample(0.0)
    road = (MapElement("road", np.array([(-8.0, 0.0), (8.0, 0.0)])),)
    whole = replace(sample, points=points, sd=road, hd=sample.elements)
    write(tmp_path / "whole", "a", [whole])
    write(tmp_path / "poor", "a", [replace(whole, points=points[:0], hd=())])
    knowing = replace(tiny, modalities=("camera", "lidar", "sd", "hd"), hd_width=4)
    save_weights(tmp_path / "t.safetensors", build(knowing).state_dict(), knowing, {"classes": list(tiny.classes)})
    return tmp_path / "t.safetensors", tmp_path / "whole", tmp_path / "poor"


def probability(weights, folder, *without):
    how = Predicting(weights, ("raster",), backend="torch", without=without)
    return next(predict_samples(folder, how))[0].maps["raster"].probability


def test_what_is_left_out_counts_as_absent(teacher):
    weights, whole, poor = teacher
    lost = probability(weights, whole, "lidar", "hd")
    np.testing.assert_array_equal(lost, probability(weights, poor))
    assert (lost != probability(weights, whole)).any() and (lost != probability(weights, whole, "lidar")).any()


def test_the_command_tells_what_was_left_out(teacher, tmp_path):
    weights, whole, _ = teacher
    asked = ["evaluate", "--data", str(whole), "--weights", str(weights), "--vectors", "raster", "--backend", "torch"]
    assert cli.main([*asked, "--without", "lidar", "--out", str(tmp_path / "report.json")]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["without"] == ["lidar"]


def test_what_the_network_never_gets_cannot_be_left_out(teacher, tiny):
    weights, whole, _ = teacher
    student = weights.with_name("s.safetensors")
    save_weights(student, build(tiny).state_dict(), tiny, {"classes": list(tiny.classes)})
    with pytest.raises(ValueError, match="without sd: this network has camera"):
        probability(student, whole, "sd")
