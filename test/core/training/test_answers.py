# SPDX-License-Identifier: Apache-2.0
"""Stored answers of frozen teachers: the same losses as with the teacher awake, each computed once, none by mistake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mapkd_core import distillation
from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import TrainingSet, collate
from mapkd_core.data.samples import write
from mapkd_core.models.build import build
from mapkd_core.training import answers, loop
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.training.parallel import ALONE
from mapkd_core.training.run_state import RunState
from mapkd_core.types import MapElement

CPU = torch.device("cpu")
KNOWN = ("camera", "lidar", "sd", "hd")


@pytest.fixture
def config(tmp_path, tiny, make_sample) -> TrainConfig:
    rng = np.random.default_rng(0)
    rich = [replace(make_sample(s), points=rng.uniform(-3, 3, (40, 5)).astype(np.float32)) for s in (0.0, 0.6, 0.3)]
    road = (MapElement("road", np.array([(-8.0, 0.0), (8.0, 0.0)])),)
    rich = [replace(sample, sd=road, hd=sample.elements) for sample in rich]
    write(tmp_path / "data", "a", rich)
    return TrainConfig(tiny, str(tmp_path / "data"), batch=2, precision="fp32", workers=0, variants=2,
                       answers=str(tmp_path / "answers"), modality_dropout=0.0)  # fmt: skip


@pytest.fixture
def teacher(tiny):
    network = build(replace(tiny, bev_width=12, modalities=KNOWN, lidar_width=8, prior_width=16)).eval()
    torch.nn.init.normal_(network.raster.out.weight, std=0.3)
    return network


def _batch(config: TrainConfig, epoch: int, items: list[int]):
    dataset = TrainingSet(config.data, config, KNOWN)
    dataset.epoch = epoch
    return collate([dataset[i] for i in items])


@pytest.mark.parametrize("name", distillation.available())
def test_a_scheme_says_the_same_of_stored_answers(config, teacher, tiny, name):
    """Also that it reads no more than it declares."""
    own = replace(config, model=distillation.student_of(name, tiny))
    student = build(own.model).eval()
    torch.manual_seed(1)
    scheme = distillation.make(name, {}, own.model, teacher).eval()
    batch = _batch(own, 1, [2, 0])
    with torch.no_grad():
        output = student(*batch.inputs())
        awake = scheme(batch, output)
        answers.attach(scheme, {"teacher": "a" * 64}, own, CPU)
        stored = scheme(replace(batch, points=None, sd=None, hd=None), output)
    assert awake.keys() == stored.keys()
    for key, value in awake.items():
        torch.testing.assert_close(stored[key], value, rtol=2e-3, atol=1e-5)


def test_each_variant_of_each_frame_has_its_answer(config, teacher):
    store = answers.filled(teacher, "a" * 64, config, ["semantic", "queries"], CPU)
    assert store.rows == 6 and not len(store.missing(["semantic", "queries"]))
    batch = _batch(config, 1, [2, 0])
    assert batch.rows.tolist() == [5, 3]
    with torch.no_grad():
        wanted = teacher(*batch.inputs())
    found = store.read(batch.rows, ["semantic", "queries"])
    torch.testing.assert_close(found["semantic"], wanted.semantic, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found["queries"][0][1], wanted.queries[-1][1], rtol=1e-3, atol=1e-3)
    other = store.read(torch.tensor([2, 0]), ["semantic"])["semantic"]
    assert (other - wanted.semantic).abs().max() > 2e-3  # the first variant looks another way


def test_what_is_there_is_not_computed_again(config, teacher, monkeypatch):
    store = answers.filled(teacher, "a" * 64, config, ["semantic"], CPU)
    asked = []
    answer = answers._answer
    monkeypatch.setattr(answers, "_answer", lambda *a: asked.append(a[1].rows.tolist()) or answer(*a))
    answers.filled(teacher, "a" * 64, config, ["semantic"], CPU)
    assert asked == []
    store._done["semantic"][[1, 4]] = False  # as a killed run leaves it
    answers.filled(teacher, "a" * 64, config, ["semantic"], CPU)
    assert asked[1:] == [[1, 4]]


def test_other_weights_and_other_variants_have_other_answers(config, teacher):
    first = answers.filled(teacher, "a" * 64, config, ["semantic"], CPU).folder
    assert answers.filled(teacher, "b" * 64, config, ["semantic"], CPU).folder != first
    assert answers.filled(teacher, "a" * 64, replace(config, turn=0.3), ["semantic"], CPU).folder != first
    assert answers.filled(teacher, "a" * 64, replace(config, seed=5), ["semantic"], CPU).folder == first


def test_frames_that_were_written_again_have_other_answers(config, teacher):
    first = answers.filled(teacher, "a" * 64, config, ["semantic"], CPU).folder
    assert answers.filled(teacher, "a" * 64, config, ["semantic"], CPU).folder == first
    path = Path(config.data) / "a.images.npy"
    np.save(path, 255 - np.load(path))
    assert answers.filled(teacher, "a" * 64, config, ["semantic"], CPU).folder != first


def test_a_folder_that_grows_has_no_answers_of_its_new_frames(config, teacher, make_sample, tmp_path):
    """Rows would be other frames. Without stored answers it may grow; of a run that goes on, all are computed anew."""
    save_weights(tmp_path / "t.safetensors", teacher.state_dict(), teacher.config, {})
    taught = replace(config, scheme="feature", teacher=str(tmp_path / "t.safetensors"), steps=3, warmup=1, batch=3,
                     validation="none", checkpoint_every=1)  # fmt: skip
    run = RunState(build(taught.model), taught, ALONE)
    batches = loop._batches(taught, 0, answered=run.answered)
    assert run.answered == 3 and len(next(batches).rows) == 3
    more = [replace(s, points=np.ones((3, 5), np.float32)) for s in (make_sample(0.1), make_sample(0.2))]
    write(Path(config.data), "b", more)
    with pytest.raises(ValueError, match=r"data has 5 frames now, .* stored of 3: let the set be finished.*--resume"):
        next(batches)
    assert RunState(build(taught.model), taught, ALONE).answered == 5
    assert len(next(loop._batches(taught, 0)).rows) == 3


def test_a_run_with_stored_answers_stops_where_its_folder_grows(config, teacher, make_sample, tmp_path, monkeypatch):
    save_weights(tmp_path / "t.safetensors", teacher.state_dict(), teacher.config, {})
    taught = replace(config, scheme="feature", teacher=str(tmp_path / "t.safetensors"), steps=3, warmup=1, batch=3,
                     validation="none")  # fmt: skip
    step = loop._step

    def growing(*given):
        write(Path(config.data), "b", [replace(make_sample(0.1), points=np.ones((3, 5), np.float32))])
        return step(*given)

    monkeypatch.setattr(loop, "_step", growing)
    with pytest.raises(ValueError, match=r"has 4 frames now, the teachers' answers are stored of 3"):
        loop.train(taught, tmp_path / "run")


def test_what_cannot_be_kept_is_refused(config, teacher, tiny):
    with pytest.raises(ValueError, match=r"answers = .* needs variants >= 1, not 0"):
        answers.filled(teacher, "a" * 64, replace(config, variants=0), ["semantic"], CPU)
    with pytest.raises(ValueError, match=r"would take .* GB in .*, answers_gb allows 1e-06: raise it"):
        answers.filled(teacher, "a" * 64, replace(config, answers_gb=1e-6), ["semantic"], CPU)
    with pytest.raises(ValueError, match="the teacher has no lidar_bev"):
        answers.filled(build(tiny), "c" * 64, config, ["lidar_bev"], CPU)


def test_variants_are_the_same_for_every_seed_and_end(config):
    def pictures(seed: int, epoch: int) -> torch.Tensor:
        dataset = TrainingSet(config.data, replace(config, seed=seed))
        dataset.epoch = epoch
        return dataset[1].images

    assert torch.equal(pictures(0, 0), pictures(7, 0)) and torch.equal(pictures(0, 0), pictures(0, 2))
    assert not torch.equal(pictures(0, 0), pictures(0, 1))
