# SPDX-License-Identifier: Apache-2.0
"""Ours: what is handed over fits and is all that fits, and the distances mean what they say."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapkd_core import distillation
from mapkd_core.bench.distill_rows import FAINT
from mapkd_core.config import TrainConfig, load
from mapkd_core.distillation.inherit import INHERITED, hand_over, relative_distance
from mapkd_core.distillation.mapdistill import head_losses
from mapkd_core.models.build import build

TRAIN = Path(__file__).resolve().parents[3] / "config" / "train"


@pytest.fixture
def teacher(tiny):
    return build(replace(tiny, modalities=("camera", "lidar", "hd"), lidar_width=8, prior_width=16))


def test_decoder_and_heads_are_handed_over_and_the_camera_encoder_is_not(tiny, teacher):
    student = build(tiny)
    camera = next(iter(student.camera.state_dict().values())).clone()
    names = hand_over(teacher, student, INHERITED["decoder"])
    given, own = teacher.state_dict(), student.state_dict()
    wanted = [n for n in own if n.startswith(("decoder.", "raster.", "query."))]
    assert names == sorted(wanted)
    for name in wanted:
        channels = own[name].shape[1:2]
        assert torch.equal(own[name], given[name][:, : channels[0]] if channels else given[name]), name
    assert torch.equal(next(iter(student.camera.state_dict().values())), camera)


def test_without_lidar_and_priors_the_student_then_decodes_as_the_teacher(tiny, teacher):
    """With `all`, and a LiDAR that says nothing, both networks are one: the handed over channels are the right ones."""
    student = build(tiny).eval()
    hand_over(teacher.eval(), student, INHERITED["all"])
    torch.nn.init.zeros_(teacher.decoder.stem[0].conv.weight[:, student.decoder.stem[0].conv.weight.shape[1] :])
    bev = torch.rand(1, student.decoder.stem[0].conv.weight.shape[1], *tiny.decoder_grid.shape)
    full = torch.cat([bev, torch.rand(1, 8, *bev.shape[2:])], 1)
    for own, theirs in zip(student.decoder(bev), teacher.decoder(full), strict=True):
        torch.testing.assert_close(own, theirs)


def test_a_teacher_of_another_width_has_nothing_to_hand_over(tiny):
    scheme = distillation.make("inherit", {}, tiny, build(replace(tiny, bev_width=12)))
    with pytest.raises(ValueError, match=r"differ in bev_width 12 and 8; .*scheme_settings.inherit=nothing"):
        scheme.start(build(tiny))
    distillation.make("inherit", {"inherit": "nothing"}, tiny, build(replace(tiny, bev_width=12))).start(build(tiny))


@pytest.mark.parametrize("change", [
    {"camera_width": 24}, {"detail_width": 4}, {"embedding": 6}, {"query_groups": 1}, {"view": "ground"},
])  # fmt: skip
def test_where_channels_or_queries_mean_something_else_nothing_is_handed_over(tiny, change):
    """Shapes may fit nevertheless: the first convolution's leading channels are then not the student's cameras."""
    ours = replace(tiny, view="dual") if "view" in change else tiny
    wide = replace(tiny, modalities=("camera", "lidar"), lidar_width=40, **change)
    ((name, value),) = change.items()
    scheme, student = distillation.make("inherit", {}, ours, build(wide)), build(ours)
    before = {key: tensor.clone() for key, tensor in student.state_dict().items()}
    with pytest.raises(ValueError, match=f"teacher and student differ in {name} {value!r} and {getattr(ours, name)!r}"):
        scheme.start(student)
    assert all(torch.equal(tensor, before[key]) for key, tensor in student.state_dict().items())
    distillation.make("inherit", {"inherit": "nothing"}, ours, build(wide)).start(student)


def test_a_student_whose_further_inputs_lie_elsewhere_is_refused(tiny):
    """Its HD prior's channels would get what the teacher learned of LiDAR."""
    knows = replace(tiny, modalities=("camera", "lidar", "hd"), lidar_width=8, hd_width=8, prior_width=16)
    ours = replace(knows, modalities=("camera", "hd"))
    with pytest.raises(ValueError, match=r"inputs beside the cameras \[\('lidar', 8\), \('hd', 8\)\] and \[\('hd', 8"):
        distillation.make("inherit", {}, ours, build(knows)).start(build(ours))
    distillation.make("inherit", {}, knows, build(knows)).start(build(knows))


def test_what_is_not_handed_over_as_a_whole_is_refused(tiny):
    """A student that asks priors, whose teacher asks none."""
    ours = replace(tiny, modalities=("camera", "sd"), prior_width=16)
    scheme = distillation.make("inherit", {}, ours, build(tiny))
    with pytest.raises(ValueError, match=r"nothing that fits the student's decoder\.attention\.\S+ \(\d+ tensors"):
        scheme.start(build(ours))


@pytest.mark.parametrize("size", ["small", "full"])
@pytest.mark.parametrize("parts", ["decoder", "all"])
def test_roads_v1s_students_still_inherit_all_that_is_asked_for(size, parts):
    ours, theirs = (load(TrainConfig, TRAIN / f"roads_v1_{size}{name}.yaml").model for name in ("", "_teacher"))
    student, teacher = build(ours), build(theirs)
    distillation.make("inherit", {"inherit": parts}, ours, teacher).start(student)
    given = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        if name.startswith(INHERITED[parts]):
            wanted = given[name] if given[name].ndim < 2 else given[name][:, : tensor.shape[1]]
            assert torch.equal(tensor, wanted), name


def test_unknown_parts_are_refused(tiny, teacher):
    with pytest.raises(ValueError, match=r"inherit.inherit = 'head'; known: nothing, decoder, all"):
        distillation.make("inherit", {"inherit": "head"}, tiny, teacher)


def test_the_distance_is_relative_to_the_teacher_and_weighted():
    teacher = torch.tensor([[[[2.0, 0.0]]]])  # mean square 2
    student = torch.tensor([[[[1.0, 2.0]]]])  # squares of the differences: 1, 4
    weight = torch.tensor([[[1.5, 0.5]]])
    assert float(relative_distance(student, teacher, weight)) == pytest.approx((1.5 * 1 + 0.5 * 4) / 2 / 2)
    ten = [10 * x for x in (student, teacher)]
    assert float(relative_distance(*ten, weight)) == pytest.approx((1.5 * 1 + 0.5 * 4) / 2 / 2)


def test_answers_as_heavy_as_truth_teach_every_layer_and_weigh_points_by_hand(tiny, teacher, frames):
    batch, student = frames(tiny), build(tiny)
    plain, heavy = (distillation.make("inherit", settings, tiny, teacher) for settings in (FAINT, {}))
    for scheme in (plain, heavy):
        scheme.start(student)
    output = student.train()(*batch.inputs())
    answer = heavy.answer("teacher", batch).queries[-1]
    faint, full = (scheme(batch, output)["inherit_head"] for scheme in (plain, heavy))
    last, *earlier = (head_losses(layer, answer, by_index=True) for layer in reversed(output.queries))
    assert earlier and torch.equal(faint, last)
    without = torch.stack([head_losses(layer, answer, by_index=True, point_weight=0.0) for layer in output.queries])
    points = torch.stack([last, *earlier]).mean() - without.mean()
    torch.testing.assert_close(full, 2.0 * (without.mean() + 30.0 * points))
