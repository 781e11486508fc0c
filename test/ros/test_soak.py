# SPDX-License-Identifier: Apache-2.0
"""A short soak: the map node with a stub, fusion on, every set answered, memory flat."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mapkd_core.bench.soak_table import markdown
from mapkd_ros.soak import run, trend


def test_memory_is_flat_and_no_set_is_lost(ros_domain_id, tmp_path):
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "mapkd_ros.soak", "--frames", "500", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["frames"] == 500 and result["lost"] == 0 and len(result["windows"]) == 50
    assert abs(result["rss_growth"]) < 0.02, [row["rss_mb"] for row in result["windows"]]
    assert json.loads(done.stdout.splitlines()[-1])["predictor"] == "stub"
    assert [cell.strip() for cell in markdown({"soak-stub": result})[2].split("|")[1:4]] == ["stub", "500", "0"]


def test_a_trend_compares_the_end_with_what_comes_after_the_warm_up():
    """Ten windows: two of warm-up, then 100, 100 ... and in the end 110, 112: medians of two, 111 over 100."""
    assert trend([50, 60, 100, 100, 100, 100, 100, 100, 110, 112]) == 0.11


def test_too_few_frames_make_no_trend():
    with pytest.raises(ValueError, match="at least 100"):
        run(99)
