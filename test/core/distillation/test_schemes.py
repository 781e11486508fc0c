# SPDX-License-Identifier: Apache-2.0
"""The contract of every scheme in the folder, whoever adds one: it teaches the student and leaves teachers alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from mapkd_core import distillation
from mapkd_core.config import TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build
from mapkd_core.training import loop
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.parallel import ALONE
from mapkd_core.training.run_state import RunState

SCHEMES = distillation.available()
OF_HELPERS = {"bridge_own_map"}  # losses that teach what a scheme learns beside the student, and not the student
STILL = {"bridgeta": "assistant.head."}  # of a raster head the assistant trains what gives the semantic map alone


@pytest.fixture(scope="module")
def said(tiny, teacher_config, frames):
    """said(config): a student of its own, in training, what it says of the frames, and the frames."""
    known = {}

    def answer(config):
        if config not in known:
            torch.manual_seed(0)
            student, batch = build(config).train(), frames(replace(teacher_config, view=config.view))
            known[config] = (student, student(batch.images, batch.plan), batch)
        return known[config]

    return answer


@pytest.fixture
def made(tiny, teacher_config, coach_config, network):
    """made(name, **settings): the student's config, and the scheme with teacher and coach."""

    def make(name: str, **settings):
        config = distillation.student_of(name, tiny)
        return config, distillation.make(name, settings, config, network(teacher_config), network(coach_config)).train()

    return make


@pytest.mark.parametrize("name", SCHEMES)
def test_a_step_teaches_student_and_adapters_and_no_teacher(made, said, name):
    config, scheme = made(name)
    student, output, batch = said(config)
    frozen = copy.deepcopy(scheme.frozen.state_dict())
    losses = scheme(batch, output)
    assert losses and all(torch.isfinite(v) and v.ndim == 0 and v.requires_grad for v in losses.values())

    learned = {n: p for n, p in scheme.named_parameters() if p.requires_grad}
    assert not any(n.startswith("frozen.") for n in learned)
    camera = [p for p in student.camera.parameters() if p.requires_grad]
    moved = set()
    for loss_name, loss in losses.items():
        wanted = [*camera, *learned.values()]
        found = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
        reach = sum(float(g.abs().sum()) for g in found[: len(camera)] if g is not None)
        assert (reach > 0) != (loss_name in OF_HELPERS), f"{loss_name} teaches the student: {reach > 0}"
        own = found[len(camera) :]
        moved |= {n for n, g in zip(learned, own, strict=True) if g is not None and g.any()}
    still = set(learned) - moved
    assert all(n.startswith(STILL.get(name, "none.")) for n in still), f"never move: {still}"
    with torch.no_grad():
        for parameter in learned.values():
            parameter -= 0.1

    assert not any(module.training for module in scheme.frozen.modules())
    for key, value in scheme.frozen.state_dict().items():
        assert torch.equal(value, frozen[key]), key


@pytest.mark.parametrize("name", SCHEMES)
def test_the_student_stays_a_student(made, tiny, teacher_config, coach_config, frames, network, tmp_path, name):
    """Its file has a plain student's tensors after a step of the loop, and only the teachers' stay out of the step."""
    wanted = distillation.student_of(name, tiny)
    paths = {}
    for who, config in (("teacher", teacher_config), ("coach", coach_config)):
        paths[who] = str(tmp_path / f"{who}.safetensors")
        save_weights(tmp_path / f"{who}.safetensors", network(config).state_dict(), config, {})
    if not distillation.load(name).Distil.uses_coach:
        del paths["coach"]
    settings = {"inherit": "nothing"} if name == "inherit" else {}
    config = TrainConfig(wanted, scheme=name, scheme_settings=settings, steps=2, warmup=1, precision="fp32", **paths)
    torch.manual_seed(0)
    run = RunState(build(wanted), config, ALONE)
    before = copy.deepcopy(run.learning.state_dict())
    batch = frames(replace(teacher_config, view=wanted.view))
    loop._step(run, batch)
    run.update_average()
    assert run.average.state_dict().keys() == network(wanted).state_dict().keys()
    frozen = [n for n in before if n.startswith("scheme.frozen.")]
    assert frozen and all(torch.equal(run.learning.state_dict()[n], before[n]) for n in frozen)
    assert any(not torch.equal(run.model.state_dict()[n], before[f"model.{n}"]) for n in run.model.state_dict())


@pytest.mark.parametrize("name", SCHEMES)
def test_unknown_settings_are_refused(made, name):
    with pytest.raises(ValueError, match=f"unknown setting {name}.'wieght'"):
        made(name, wieght=1.0)


# Adapters that are random at the start say nothing about two networks.
@pytest.mark.parametrize("name", sorted(set(SCHEMES) - {"feature", "foreground", "bridgeta", "mapdistill"}))
def test_a_student_that_equals_its_teacher_has_less_to_learn(frames, teacher_config, tiny, twins, name):
    """Against itself a student's loss is lower than against a stranger, as far as nothing between them is random."""
    batch, student = frames(teacher_config), twins[0]
    settings = {"tgpd_teacher": 0.0} if name == "mapkd" else {}
    with torch.no_grad():
        output = student(batch.images, batch.plan)
        own, other = (distillation.make(name, settings, tiny, t).eval()(batch, output) for t in twins)
    assert float(sum(own.values())) < float(sum(other.values()))


@pytest.fixture(scope="module")
def twins(tiny):
    """Two networks of one shape that say different things."""
    torch.manual_seed(3)
    student, stranger = build(tiny).eval(), build(tiny).eval()
    for each in (stranger, student):
        torch.nn.init.normal_(each.raster.out.weight, std=0.3)
    return student, stranger


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown scheme 'mapkdd'; known: attention, bridgeta, .*mapkd"):
        distillation.load("mapkdd")


@pytest.mark.parametrize("name", SCHEMES)
def test_a_teacher_of_another_grid_is_refused_naming_both(tiny, network, name):
    other = replace(tiny, grid=BevGrid(-12.0, 12.0, -6.0, 6.0, 0.3))
    with pytest.raises(ValueError, match=r"teacher and student differ in grid: .*12\.0.* and .*6\.0"):
        distillation.make(name, {}, distillation.student_of(name, tiny), network(other))
