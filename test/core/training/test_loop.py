# SPDX-License-Identifier: Apache-2.0
"""The training loop on two frames: it learns, it stops and goes on as if it had not, it never trains on NaN."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.data.samples import write
from mapkd_core.training import loop, run_state
from mapkd_core.training.checkpoint import load_training, load_weights
from mapkd_core.training.descent import descend
from mapkd_core.training.loop import train
from mapkd_core.training.optim import make_optimizer, schedule
from mapkd_core.training.parallel import ALONE
from mapkd_core.training.run_state import Progress, RunState


@pytest.fixture
def config(tmp_path, tiny, make_sample) -> TrainConfig:
    write(tmp_path / "data", "a", [make_sample(0.0), make_sample(0.6)])
    return TrainConfig(
        tiny, str(tmp_path / "data"), str(tmp_path / "data"), batch=2, steps=60, learning_rate=5e-3, warmup=5,
        precision="fp32", workers=0, validate_every=1000, checkpoint_every=1000, camera_dropout=0.0, mirror=False,
        turn=0.0, shift=0.0, calibration_noise=0.0, ema=0.9,
    )  # fmt: skip


def _rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_two_frames_are_learned(config, tmp_path, monkeypatch):
    totals = _record(monkeypatch)
    weights = train(config, tmp_path / "run")
    assert len(totals) == 60
    assert np.mean(totals[-5:]) < 0.6 * np.mean(totals[:3])
    model, card = load_weights(weights)
    assert model.config == config.model
    assert card["validation"]["miou"] > 15 and card["training"]["steps"] == 60
    assert _rows(tmp_path / "run")[-1]["final"] and _rows(tmp_path / "run")[-1]["step"] == 60
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["bev_width"] == 8


def test_resumed_run_is_the_uninterrupted_one(config, tmp_path, monkeypatch):
    varied = replace(config, steps=6, checkpoint_every=3, mirror=True, turn=0.1, shift=0.5, camera_dropout=0.5, batch=1)
    totals = _record(monkeypatch)
    train(varied, tmp_path / "whole")
    whole, totals[:] = list(totals), []
    with monkeypatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(varied, tmp_path / "parts")
    assert load_training(tmp_path / "parts" / "last.pt")["step"] == 3
    train(varied, tmp_path / "parts", resume=True)
    assert totals == whole  # bit for bit
    one, other = (load_weights(tmp_path / run / "student.safetensors")[0].state_dict() for run in ("whole", "parts"))
    for name, tensor in one.items():
        assert torch.equal(other[name], tensor), name


def test_a_run_can_start_from_given_weights(config, tmp_path, monkeypatch):
    totals = _record(monkeypatch)
    first = train(replace(config, steps=30), tmp_path / "first")
    learned = np.mean(totals[-3:])
    totals.clear()
    train(replace(config, steps=1, initial=str(first), warmup=1), tmp_path / "second")
    assert totals[0] < 1.5 * learned
    other = replace(config, initial=str(first), model=replace(config.model, bev_width=16))
    with pytest.raises(ValueError, match="bev_width=8"):
        train(other, tmp_path / "third")


def _record(monkeypatch) -> list[float]:
    """Total losses of the steps as they are taken."""
    totals: list[float] = []
    step = loop._step

    def recording(*arguments):
        values = step(*arguments)
        totals.append(values["total"])
        return values

    monkeypatch.setattr(loop, "_step", recording)
    return totals


def _stop_after(monkeypatch, steps: int) -> None:
    """As a kill right after the checkpoint of that step."""
    save = run_state.save_training

    def saving(path, state):
        save(path, state)
        if state["step"] == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_state, "save_training", saving)


def test_loss_that_is_not_finite_stops_the_run_before_it_spoils_the_weights(config, tmp_path):
    broken = replace(config, weights=config.weights | {"semantic": float("nan")})
    with pytest.raises(
        FloatingPointError, match=r"loss is not finite: .*data/a-[01], .*data/a-[01]; lower learning_rate"
    ):
        train(broken, tmp_path / "run")
    assert not (tmp_path / "run" / "student.safetensors").exists()


def test_gradient_that_is_not_finite_stops_the_run_before_it_spoils_the_weights(config):
    run = RunState(loop._initial(config), config, ALONE)
    before = {name: value.clone() for name, value in run.model.named_parameters()}
    next(run.model.parameters()).register_hook(lambda gradient: torch.full_like(gradient, torch.nan))
    with pytest.raises(FloatingPointError, match=r"gradient .* norm is nan, .*'total': \d.*data/a-[01], .*data/"):
        loop._step(run, next(loop._batches(config, 0)))
    assert all(torch.equal(value, before[name]) for name, value in run.model.named_parameters())
    assert not run.optimizer.state


def test_another_network_cannot_be_resumed(config, tmp_path):
    train(replace(config, steps=1), tmp_path / "run")
    other = replace(config, model=replace(config.model, bev_width=16))
    with pytest.raises(ValueError, match="trained with another network"):
        train(other, tmp_path / "run", resume=True)


def test_resume_without_a_run_is_refused(config, tmp_path):
    with pytest.raises(FileNotFoundError, match="no run to resume"):
        train(config, tmp_path / "run", resume=True)


def test_missing_data_is_named(config, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no samples"):
        train(replace(config, data=str(tmp_path / "nowhere")), tmp_path / "run")


def test_every_sample_is_seen_once_an_epoch(config, make_sample, tmp_path):
    write(Path(config.data), "b", [make_sample(s) for s in (-0.3, 0.2, 0.9)])
    batches = loop._batches(replace(config, batch=2), 0)
    seen = [next(batches).images for _ in range(2)]  # five samples: two batches an epoch, one left out
    frames = {image.numpy().tobytes() for batch in seen for image in batch}
    assert len(frames) == 4


def test_schedule_rises_then_falls():
    config = TrainConfig(steps=100, warmup=10)
    rates = [schedule(step, step / 100, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(rates[9], rel=0.05)
    assert rates[100] == pytest.approx(0.01) and all(np.diff(rates[12:]) < 0)


def test_schedule_falls_to_a_tenth_every_so_many_steps():
    """The papers' StepLR, which knows no cosine."""
    config = TrainConfig(steps=100, warmup=0, decay_every=30)
    rates = [schedule(step, step / 100, config) for step in (0, 29, 30, 59, 60, 99)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_adam_and_adamw_are_pytorchs(config, name, kind):
    made = make_optimizer(loop._initial(config), replace(config, optimizer=name, weight_decay=0.1))
    assert type(made) is kind and made.param_groups[0]["betas"] == (0.9, 0.999)
    assert {group["weight_decay"] for group in made.param_groups} == {0.0, 0.1}


def test_gradients_are_cut_to_the_norm_that_is_asked_for():
    """By plain steps of length one down a slope of norm 5."""
    for clip, wanted in ((1.0, [-0.6, -0.8]), (10.0, [-3.0, -4.0])):
        layer = torch.nn.Linear(2, 1, bias=False)
        torch.nn.init.zeros_(layer.weight)
        total = (layer.weight * torch.tensor([[3.0, 4.0]])).sum()
        descend(total, layer, torch.optim.SGD(layer.parameters(), 1.0), clip, told={"total": 0.0}, frames=str)
        assert layer.weight[0].tolist() == pytest.approx(wanted, rel=1e-5)


def test_without_warm_up_the_first_step_is_whole(config, tmp_path):
    assert schedule(0, 0.0, TrainConfig(warmup=0)) == pytest.approx(1.0)
    assert train(replace(config, steps=1, warmup=0), tmp_path / "run").is_file()


def test_a_run_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="steps = 0, minutes = 0: a run needs one of both"):
        Progress(TrainConfig(steps=0))


def test_progress_by_time_ends_by_the_clock():
    progress = Progress(TrainConfig(minutes=1.0, steps=1))
    progress.advance()
    assert not progress.done
    progress.restore(step=5, seconds=30.0)
    assert progress.share == pytest.approx(0.5, abs=0.01)
    progress.restore(step=9, seconds=60.0)
    assert progress.done


def test_average_follows_the_weights():
    model, average = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    with torch.no_grad():
        model.weight.fill_(2.0)
        average.weight.fill_(1.0)
    model.num_batches_tracked.fill_(7)
    run_state.average_into(average, model, 0.75)
    assert average.weight.item() == pytest.approx(1.25)
    assert average.num_batches_tracked.item() == 7


def test_the_camera_encoder_can_come_from_a_network_of_another_shape(config, tmp_path):
    first = train(replace(config, steps=2), tmp_path / "first")
    wider = replace(config, steps=0, camera=str(first), model=replace(config.model, bev_width=16))
    start, given = loop._initial(wider).state_dict(), load_weights(first)[0].state_dict()
    for name, tensor in start.items():
        assert not name.startswith("camera.") or torch.equal(tensor, given[name]), name
    plain = loop._initial(replace(wider, camera="")).state_dict()
    assert not torch.equal(plain["camera.smooth.conv.weight"], start["camera.smooth.conv.weight"])


def test_an_unknown_optimizer_is_refused(config):
    with pytest.raises(ValueError, match="'sgd'; known: muon, adamw, adam"):
        make_optimizer(loop._initial(config), replace(config, optimizer="sgd"))


def test_the_log_tells_what_the_loader_costs(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])

    def batches():
        for i in range(4):
            clock[0] += 0.25  # the loader's work
            yield i

    timed = loop.Timed(batches())
    for _ in timed:
        clock[0] += 0.75  # a step
    assert timed.report(8) == {"frames_s": 2.0, "loader_share": 0.25}
    clock[0] += 1.0
    assert timed.report(8) == {"frames_s": 8.0, "loader_share": 0.0}


def test_a_scheme_trains_the_student_and_resumes(config, make_sample, tmp_path, monkeypatch):
    """Teacher with a LiDAR, student without: the batch carries what either needs; checkpoints leave the teacher out.

    `as_released` draws from PyTorch's random numbers at every step; the run is killed amid an epoch.
    """
    rng = np.random.default_rng(0)
    plain = [make_sample(shift) for shift in (0.0, 0.6)]
    rich = [replace(s, points=rng.uniform(-3, 3, (40, 5)).astype(np.float32), hd=s.elements) for s in plain]
    write(Path(config.data), "a", rich)
    known = replace(config.model, modalities=("camera", "lidar", "hd"), lidar_width=8, prior_width=16)
    teacher = train(replace(config, model=known, steps=1), tmp_path / "teacher")
    taught = replace(
        config, scheme="mapkd", scheme_settings={"beta": 0.5, "as_released": True}, teacher=str(teacher), batch=1,
        steps=5, checkpoint_every=3,
    )  # fmt: skip
    totals = _record(monkeypatch)
    train(taught, tmp_path / "whole")
    whole, totals[:] = list(totals), []
    with monkeypatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(taught, tmp_path / "parts")
    assert not [key for key in load_training(tmp_path / "parts" / "last.pt")["learning"] if "frozen" in key]
    weights = train(taught, tmp_path / "parts", resume=True)
    assert totals == whole  # bit for bit
    assert load_weights(weights)[0].config.modalities == ("camera",)
    with pytest.raises(ValueError, match="'mapkd' needs a teacher"):
        train(replace(taught, teacher=""), tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x04N.", b"junk" * 99])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.pt (cannot be read|holds no run).*start afresh"):
        load_training(path)
