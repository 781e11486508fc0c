# SPDX-License-Identifier: Apache-2.0
"""`mapkd compare` over the real frame, where it is present, and what it says of wrong input."""

import json

import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.realism.twin import dry_looks, mean, read_twin


def test_lidar_of_the_twin_is_near_the_real_sweep(shared_data, tmp_path, capsys):
    arguments = ["--frame", str(shared_data / "scene0061"), "--roads", str(shared_data / "roads/scene-0061.json.gz")]
    assert cli.main(["compare", "lidar", *arguments, "--looks", "2", "--out", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["difference"]["rings"] < 0.12 and abs(summary["difference"]["answered"]) < 0.12
    assert json.loads((tmp_path / "lidar.json").read_text()) == summary
    assert (tmp_path / "lidar.png").stat().st_size > 10_000


def test_frame_elsewhere_is_refused(shared_data):
    with pytest.raises(ValueError, match=r"m away from the drive of .*scene-0103"):
        read_twin(shared_data / "scene0061", shared_data / "roads/scene-0103.json.gz")


def test_wrong_use_is_told(tmp_path, capsys):
    assert cli.main(["compare", "lidar", "--roads", "a.json.gz", "--out", str(tmp_path)]) == 1
    assert "needs --frame DIR and one road map" in capsys.readouterr().err
    assert cli.main(["compare", "sd", "--roads", "a.json.gz", "--out", str(tmp_path)]) == 1
    assert "a.json.gz: no such road map" in capsys.readouterr().err


def test_looks_are_dry_daylight_and_means_leave_out_what_is_empty():
    looks = dry_looks(5)
    assert len(looks) == 5 and all(look.wet == 0 and look.light not in ("night", "dusk", "rain") for _, look in looks)
    with pytest.raises(ValueError, match="looks = 0"):
        dry_looks(0)
    together = mean([{"a": 1.0, "b": []}, {"a": 3.0, "b": [2.0, 4.0]}])
    assert together["a"] == 2.0 and np.array_equal(together["b"], [2.0, 4.0])
