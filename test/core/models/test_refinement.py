# SPDX-License-Identifier: Apache-2.0
"""The refinement of a teacher's map: the identity at first, and after pretraining it says what hidden places hold."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core import cli
from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import to_batch
from mapkd_core.data.samples import SampleFolder, write
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build
from mapkd_core.models.refinement import Refinement
from mapkd_core.training import refine
from mapkd_core.training.checkpoint import load_weights, save_weights
from mapkd_core.training.loop import train


@pytest.fixture(scope="module")
def refined(tiny):
    return replace(tiny, refinement_layers=1, refinement_width=32)


@pytest.fixture(scope="module")
def run(refined, make_sample, tmp_path_factory):
    """Settings of a short pretraining on four maps."""
    folder = tmp_path_factory.mktemp("maps")
    write(folder, "a", [make_sample(shift) for shift in (0.0, 0.2, 0.4, 0.6)])
    still = {"mirror": False, "turn": 0.0, "shift": 0.0}
    fast = {"steps": 50, "warmup": 5, "learning_rate": 5e-3, "precision": "fp32", "workers": 0}
    return TrainConfig(refined, str(folder), str(folder), batch=4, **fast, **still)


@pytest.fixture(scope="module")
def pretrained(run, tmp_path_factory):
    return refine.pretrain(run, tmp_path_factory.mktemp("refinement"))


def test_it_starts_as_the_identity():
    logits = torch.randn(2, 4, 40, 80)
    network = Refinement(3, 32, 2)
    assert torch.equal(network(logits), logits)
    torch.nn.init.normal_(network.out.weight, std=1e-3)
    assert 0 < (network(logits) - logits).abs().max() < 0.1


def test_what_is_hidden_changes_the_answer_elsewhere():
    """A token looks at the whole map, so that a change at one end reaches the other."""
    network = Refinement(3, 32, 1).eval()
    torch.nn.init.normal_(network.out.weight)
    logits = torch.randn(1, 4, 40, 80)
    changed = logits.clone()
    changed[..., :8, :8] = 0.0
    with torch.inference_mode():
        difference = (network(changed) - network(logits))[..., 32:, 72:]
    assert difference.abs().max() > 1e-4


def test_a_teacher_with_it_learns_it_and_shows_both_maps(refined, make_sample):
    model, batch = build(refined).train(), to_batch(make_sample(), TrainConfig(model=refined))
    torch.nn.init.normal_(model.refinement.out.weight, std=0.1)
    output = model(*batch.inputs())
    assert output.coarse.shape == output.semantic.shape and not torch.equal(output.coarse, output.semantic)
    output.semantic.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (model.refinement.embed.weight,
               model.refinement.layers[0].linear1.weight, model.camera.smooth.conv.weight))  # fmt: skip


def test_a_student_knows_nothing_of_it(tiny, make_sample):
    model = build(tiny).eval()
    assert model.refinement is None and not [n for n in model.state_dict() if "refine" in n]
    assert model(*to_batch(make_sample(), TrainConfig(model=tiny)).inputs()).coarse is None


def test_squares_of_the_true_map_are_hidden():
    """Where hidden all logits are zero; elsewhere the true class alone is raised, and the share is as drawn."""
    labels = torch.randint(0, 4, (3, 40, 80))
    told, hidden = refine.hide(labels, 3, 0.15, np.random.default_rng(0))
    assert hidden.shape == labels.shape and 0.1 < hidden.float().mean() < 0.8
    assert not told.movedim(1, -1)[hidden].any()
    seen = told.movedim(1, -1)[~hidden]
    assert torch.equal(seen.argmax(-1), labels[~hidden]) and ((seen > 0).sum(-1) == 1).all()
    assert seen.max() <= refine.SURE[1] and seen.amax(-1).min() >= refine.SURE[0]
    runs = hidden[0].int().diff(dim=1).ne(0).sum()  # squares of at least 8 cells, not single cells
    assert runs < 40 * 80 / 8


def test_sizes_of_the_squares_vary():
    """A cell of 0.15 m: sides of 8, 10, 20 and 25 cells all come up."""
    labels, rng, sides = torch.zeros(1, 200, 400, dtype=torch.long), np.random.default_rng(0), set()
    for _ in range(30):
        _, hidden = refine.hide(labels, 3, 0.15, rng)
        edges = hidden[0].int().diff(dim=1).abs().sum(0).nonzero().flatten()
        sides.add(int(np.gcd.reduce(edges.diff().numpy())))
    assert sides == {8, 10, 20, 25}


def test_pretraining_learns_what_is_hidden(run, pretrained):
    fresh = Refinement(3, 32, 1)
    before, (after, card) = refine.score(fresh, run), refine.read_weights(pretrained)
    fresh.load_state_dict(after)
    learned = refine.score(fresh, run)
    assert before["masked_loss"] == pytest.approx(math.log(4), abs=1e-3)  # it knows nothing
    assert learned["masked_loss"] < 0.7 * before["masked_loss"]
    assert card["validation"] == learned and card["kind"] == "refinement"


def test_the_command_pretrains_it(run, tmp_path, capsys):
    changes = {"data": run.data, "validation": run.data, "steps": 2, "batch": 2, "precision": "fp32"}
    network = "model={refinement_layers: 1, refinement_width: 32, grid: {x_min: -6, x_max: 6, y_min: -3, y_max: 3}}"
    settings = [f"{key}={value}" for key, value in changes.items()]
    assert cli.main(["train", *settings, network, "--refinement", "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights"] == str(tmp_path / refine.FILE) and set(told["validation"]) == {"masked_loss", "masked_miou"}


def test_true_maps_are_the_truth_of_the_frames(run, make_sample):
    folder = SampleFolder(run.data)
    wanted = to_batch(make_sample(0.2), run).labels[0]
    assert torch.equal(refine.true_map(folder, 1, run), wanted)
    moved = refine.true_map(folder, 1, replace(run, turn=0.15, shift=1.5), np.random.default_rng(0))
    assert moved.shape == wanted.shape and not torch.equal(moved, wanted)


def test_a_teacher_takes_the_pretrained_one_and_is_fine_tuned_behind_its_own_weights(
    run, tiny, pretrained, tmp_path
):  # fmt: skip
    bare = tmp_path / "bare.safetensors"
    save_weights(bare, build(tiny).state_dict(), tiny, {})
    config = replace(run, steps=1, refinement=str(pretrained), initial=str(bare), batch=2, learning_rate=0.0)
    weights = train(config, tmp_path / "run")
    model, _ = load_weights(weights)
    assert model.refinement is not None
    torch.testing.assert_close(model.refinement.spread.weight, refine.read_weights(pretrained)[0]["spread.weight"])
    torch.testing.assert_close(model.camera.smooth.conv.weight, load_weights(bare)[0].camera.smooth.conv.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refinement_layers": 0}, "but the network has none; set model.refinement_layers"),
        ({"refinement_layers": 2}, "differ in refinement_layers: 1 and 2"),
        ({"grid": BevGrid(-12.0, 12.0, -6.0, 6.0, 0.3)}, r"differ in grid: .*6\.0.* and .*12\.0"),
        ({"classes": ("divider", "boundary")}, "differ in classes"),
    ],
)
def test_a_refinement_of_another_network_is_refused_naming_both(refined, pretrained, change, message):
    with pytest.raises(ValueError, match=message):
        refine.start(build(replace(refined, **change)), pretrained)


def test_a_whole_network_is_no_refinement(refined, tiny, tmp_path):
    save_weights(tmp_path / "student.safetensors", build(tiny).state_dict(), tiny, {})
    with pytest.raises(ValueError, match="holds a whole network and no refinement"):
        refine.start(build(refined), tmp_path / "student.safetensors")


def test_a_network_without_one_cannot_be_pretrained(run, tiny, tmp_path):
    with pytest.raises(ValueError, match="refinement_layers = 0"):
        refine.pretrain(replace(run, model=tiny), tmp_path)
    with pytest.raises(ValueError, match="refinement_width = 30"):
        Refinement(3, 30, 1)
