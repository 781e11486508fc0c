# SPDX-License-Identifier: Apache-2.0
"""Teacher, its variants and coach of roads-v1, size small: what each knows, and what it costs beside the student."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapkd_core.bench.cost import operations
from mapkd_core.config import TrainConfig, load
from mapkd_core.models.build import build

FOLDER = Path(__file__).resolve().parents[3] / "config" / "train"
KNOWS = {
    "_teacher_c": ("camera",),
    "_teacher_c_l": ("camera", "lidar"),
    "_teacher_c_l_sd": ("camera", "lidar", "sd"),
    "_teacher": ("camera", "lidar", "sd", "hd"),
    "_coach": ("camera", "simulated_lidar", "sd", "hd"),
}
MOST = {"_coach": 3.0}  # times the student's operations; 2 for a teacher


def _load(name: str) -> TrainConfig:
    config: TrainConfig = load(TrainConfig, FOLDER / f"roads_v1_small{name}.yaml")
    return config


def _operations(config) -> int:
    y, x = config.decoder_grid.shape
    cells, pixels = (1, 6, 34, config.image_height // 8, config.image_width // 8), (96, 256)
    points, sd, hd = torch.zeros(1, 100, 5), torch.zeros(1, 1, y, x), torch.zeros(1, 3, y, x)
    given = (torch.zeros(1, 6, 3, *pixels), torch.zeros(1, 1, y, x, 2), points, sd, hd, torch.zeros(cells).long())
    return operations(build(config), *given)


@pytest.mark.parametrize("name", KNOWS)
def test_each_knows_what_its_name_says_and_is_no_dearer_than_allowed(name):
    student, config = _load("").model, _load(name).model
    assert config.modalities == KNOWS[name]
    assert (config.refinement_layers > 0) == (name == "_teacher")
    shared = ("grid", "classes", "view", "heights", "image_height", "image_width", "camera_width", "detail_width")
    assert all(getattr(config, what) == getattr(student, what) for what in shared)
    assert _operations(config) <= MOST.get(name, 2.0) * _operations(student)


def test_variants_of_the_teacher_differ_in_what_they_know_alone():
    whole = _load("_teacher").model
    for name in ("_teacher_c", "_teacher_c_l", "_teacher_c_l_sd"):
        bare = replace(whole, modalities=KNOWS[name], hd_width=0, refinement_layers=0, refinement_width=128)
        assert _load(name).model == bare


def test_the_refinement_is_of_the_teachers_size():
    teacher, refinement = _load("_teacher").model, _load("_refinement").model
    for what in ("grid", "classes", "refinement_layers", "refinement_width"):
        assert getattr(teacher, what) == getattr(refinement, what)
