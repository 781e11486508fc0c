# SPDX-License-Identifier: Apache-2.0
"""A teacher scored without some of its inputs: it answers as if a sample had never had them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core import cli
from mapkd_core.bench.distill_scores import scores
from mapkd_core.config import TrainConfig
from mapkd_core.data.samples import write
from mapkd_core.evaluation.rendered import Predicting, predict_samples
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.checks import check_frames
from mapkd_core.training.validate import validate
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


def test_what_a_map_does_not_label_is_no_false_alarm(tmp_path, tiny, make_sample):
    """Crossings that nobody labelled, on one of two frames: they are scored on the other alone, by all who score."""
    sample = make_sample(0.0)
    unlabelled = replace(sample, elements=(sample.elements[0], sample.elements[2]), labelled=("divider", "boundary"))
    weights, model = tmp_path / "s.safetensors", build(tiny)
    torch.nn.init.constant_(model.raster.out.bias[8:12], 9.0)  # it sees crossings everywhere
    save_weights(weights, model.state_dict(), tiny, {"classes": list(tiny.classes)})
    write(tmp_path / "one", "a", [sample])
    write(tmp_path / "both", "a", [sample, unlabelled])
    one, both = (scores(weights, tmp_path / name)["validation"] for name in _as_splits(tmp_path, "one", "both"))
    assert both["iou"]["ped_crossing"] == one["iou"]["ped_crossing"] > 0 and both["frames"] == 2
    config = TrainConfig(tiny, str(tmp_path / "both"), str(tmp_path / "both"))
    own, other = (validate(model, replace(config, validation=str(tmp_path / name))) for name in ("one", "both"))
    assert own["iou_ped_crossing"] == other["iou_ped_crossing"] > 0
    with pytest.raises(ValueError, match="truth of a-1 does not tell of ped_crossing"):
        check_frames(config, ("camera",))


def _as_splits(root, *names):
    for name in names:
        (root / f"{name}-set").mkdir()
        (root / f"{name}-set" / "validation").symlink_to(root / name)
        yield f"{name}-set"
