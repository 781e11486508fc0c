# SPDX-License-Identifier: Apache-2.0
"""Bags are scored side by side, over processes and ranks, with the scores that one process finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.bags.read import BagDrive
from mapkd_core.data.reduced import reduction_for
from mapkd_core.evaluation import shards
from mapkd_core.evaluation.bagged import Bags, predict_bags
from mapkd_core.evaluation.rendered import Predicting
from mapkd_core.evaluation.shards import Share

START_NS, PERIOD_NS = 10**18, 10**8  # as in conftest.py


def arguments(bags, weights, out):
    chosen = ["--backend", "torch", "--workers", "1", "--weights", str(weights), "--out", str(out), "--json"]
    return ["evaluate", "--bags", *map(str, bags), *chosen]


def scores(path):
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}


def test_a_bag_gives_its_frames_with_truth_and_the_calibration_of_smaller_pictures(bags, tiny):
    with BagDrive(bags[0], reduction=reduction_for(tiny)) as drive, BagDrive(bags[0]) as whole:
        small, full = next(drive.frames()).cameras[0], next(whole.frames()).cameras[0]
        assert [frame.stamp_ns for frame in drive.frames({START_NS + PERIOD_NS})] == [START_NS + PERIOD_NS]
    assert (full.width, full.height) == (384, 256) and small.image.shape == (64, 96, 3) and small.width == 96
    np.testing.assert_allclose(small.K[0, 2], (full.K[0, 2] + 0.5) / 4 - 0.5)
    np.testing.assert_allclose(small.ego_T_camera, full.ego_T_camera)


def test_frames_are_limited_and_the_reduction_can_be_switched_off(bags, weights):
    how = Predicting(weights, ("raster",), backend="torch")
    groups = list(predict_bags(bags, Bags(frames=2), how, workers=1))
    numbers = [[f"{frame.world}{(int(frame.token[2:]) - START_NS) // PERIOD_NS}" for frame in g] for g in groups]
    assert numbers == [["a0", "a2"], ["b0", "b1"], ["c0"]]
    ((whole, _),) = predict_bags(bags[:1], Bags(2, is_reduced=False), how, workers=1)
    away = np.abs(whole.maps["raster"].probability.astype(int) - groups[0][0].maps["raster"].probability)
    assert 0 < away.mean() < 5, "another decoding, nearly the same map"


def test_two_ranks_find_what_one_process_finds(bags, weights, tmp_path, monkeypatch, capsys):
    """Rank 1 is a process of its own; rank 0, here, waits for it and adds up."""
    assert cli.main(arguments(bags, weights, tmp_path / "alone.json")) == 0
    out = tmp_path / "both.json"
    command = [sys.executable, "-m", "mapkd_core.cli", *arguments(bags, weights, out)]
    ranks = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    other = subprocess.Popen(command, env=os.environ | ranks | {"RANK": "1"}, stdout=subprocess.PIPE, text=True)
    for name, value in (ranks | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert cli.main(arguments(bags, weights, out)) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 6
    said, _ = other.communicate(timeout=120)
    assert other.returncode == 0 and json.loads(said)["worlds"] == ["b", "c"]
    alone, both = scores(tmp_path / "alone.json"), scores(out)
    assert list(both["worlds"]) == ["a", "b", "c"] and both["vectors"]["query"]["frames"] == 6
    assert rounded(both) == rounded(alone)
    assert both["vectors"]["raster"]["miou"] > 0.01 and both["vectors"]["raster"]["detections"], "nothing was compared"
    assert not out.with_name("both.json.ranks").exists()


@pytest.mark.slow
def test_torchrun_finds_what_one_process_finds(bags, weights, tmp_path):
    """The real launcher, with two processes on this machine."""
    alone, both = tmp_path / "alone.json", tmp_path / "both.json"
    assert cli.main(arguments(bags, weights, alone)) == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    apart = ["--redirects", "3", "--log-dir", str(tmp_path / "said")]  # what each rank says, in a file of its own
    command = [*launcher, *apart, "-m", "mapkd_core.cli", *arguments(bags, weights, both)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(path.read_text()) for path in sorted(tmp_path.glob("said/**/stdout.log")))
    assert first["frames"] == 6 and (second["rank"], second["worlds"]) == (1, ["b", "c"])
    assert rounded(scores(both)) == rounded(scores(alone))
    assert not both.with_name("both.json.ranks").exists()


def test_several_ranks_need_a_file_and_write_no_pictures(bags, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert cli.main([*arguments(bags, weights, tmp_path / "o.json"), "--per-frame"]) == 1
    assert "neither --per-frame nor --pictures" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "2")
    assert cli.main(arguments(bags, weights, tmp_path / "o.json")) == 1
    assert "RANK = 2, WORLD_SIZE = 2" in capsys.readouterr().err


def test_a_bag_twice_and_a_bag_that_is_not_there_are_refused(bags, weights, tmp_path, capsys):
    assert cli.main(arguments([bags[0], bags[0]], weights, tmp_path / "o.json")) == 1
    assert "name each bag once" in capsys.readouterr().err
    assert cli.main(arguments([tmp_path / "none.mcap"], weights, tmp_path / "o.json")) == 1
    assert "no such bag" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_one_after_the_other_are_all(size):
    items = list("abcde")
    shares = [Share(rank, size).of(items) for rank in range(size)]
    assert [item for share in shares for item in share] == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_an_answer_to_another_question_is_not_taken(tmp_path):
    for rank, question in ((0, {"bags": 3}), (1, {"bags": 2})):
        shards.leave(tmp_path / "ranks", Share(rank, 2), question, {"rank": rank})
    with pytest.raises(TimeoutError, match=r"ranks \[1\] left nothing"):
        shards.gather(tmp_path / "ranks", Share(0, 2), {"bags": 3}, patience_s=0.0)
    shards.leave(tmp_path / "ranks", Share(1, 2), {"bags": 3}, {"rank": 1})
    assert shards.gather(tmp_path / "ranks", Share(0, 2), {"bags": 3}) == [{"rank": 0}, {"rank": 1}]


def rounded(value):
    """Sums of floats in another order differ in the last digit."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 9) if isinstance(value, float) else value
