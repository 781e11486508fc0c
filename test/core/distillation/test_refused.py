# SPDX-License-Identifier: Apache-2.0
"""Networks and files that do not go together are refused before the first step, and both sides are named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapkd_core import distillation
from mapkd_core.config import TrainConfig
from mapkd_core.data.samples import write
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.loop import train


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": "resnet"}, "teacher and student differ in decoder: resnet and light"),
        ({"view": "lift_splat"}, "teacher and student differ in view: lift_splat and ground"),
        ({"image_width": 128}, "teacher and student differ in image_width: 128 and 96"),
        ({"heights": (0.0, 1.0)}, r"teacher and student differ in heights: \(0.0, 1.0\) and \(0.0,\)"),
        ({"classes": ("divider",)}, r"teacher and student differ in classes: \('divider',\) and \('divider', 'ped"),
    ],
)
def test_another_network_is_refused_naming_both(tiny, network, change, message):
    with pytest.raises(ValueError, match=message):
        distillation.make("feature", {}, tiny, network(replace(tiny, **change)))


def test_a_coach_is_checked_as_well(tiny, network):
    coach = network(replace(tiny, decoder="resnet"))
    with pytest.raises(ValueError, match="coach and student differ in decoder: resnet and light"):
        distillation.make("mapkd", {}, tiny, network(tiny), coach)


def test_mapdistill_refuses_a_teacher_without_lidar_and_a_student_without_its_view(tiny, teacher_config, network):
    dual = distillation.student_of("mapdistill", tiny)
    with pytest.raises(ValueError, match=r"teacher with \('camera', 'hd'\); it needs .* a teacher with a LiDAR"):
        distillation.make("mapdistill", {}, dual, network(replace(tiny, modalities=("camera", "hd"), prior_width=16)))
    with pytest.raises(ValueError, match=r"student with view 'ground', .* it needs a student with view dual"):
        distillation.make("mapdistill", {}, tiny, network(teacher_config))
    with pytest.raises(ValueError, match=r"mapdistill.patch = 7 does not divide \(20, 40\) cells"):
        distillation.make("mapdistill", {"patch": 7}, dual, network(teacher_config))


@pytest.fixture
def run(tiny, network, make_sample, tmp_path):
    """run(**settings): a run of one step on frames of cameras alone, taught by a network that wants an SD prior."""
    write(tmp_path / "data", "world", [make_sample()])
    knowing = replace(tiny, modalities=("camera", "sd"), prior_width=16)
    save_weights(tmp_path / "knowing.safetensors", network(knowing).state_dict(), knowing, {})
    save_weights(tmp_path / "plain.safetensors", network(tiny).state_dict(), tiny, {})

    def start(**settings):
        given = {n: str(tmp_path / v) if n in ("teacher", "coach") else v for n, v in settings.items()}
        config = TrainConfig(
            tiny, str(tmp_path / "data"), "none", scheme="mapkd", steps=1, workers=0, batch=1, precision="fp32", **given
        )
        return train(config, tmp_path / "out")

    return start


@pytest.mark.parametrize("role", ["teacher", "coach"])
def test_priors_that_no_frame_has_are_refused(run, role):
    given = {"teacher": "plain.safetensors"} | {role: "knowing.safetensors"}
    with pytest.raises(ValueError, match=r"a network gets camera, sd, but the samples in .*data have no sd; make"):
        run(**given)


def test_teachers_that_are_not_there_are_refused(run):
    with pytest.raises(ValueError, match="scheme = 'mapkd' needs a teacher"):
        run()
    with pytest.raises(FileNotFoundError, match=r"nobody.safetensors is missing"):
        run(teacher="nobody.safetensors")
    with pytest.raises(FileNotFoundError, match=r"nobody.safetensors is missing"):
        run(teacher="plain.safetensors", coach="nobody.safetensors")
