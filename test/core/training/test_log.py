# SPDX-License-Identifier: Apache-2.0
"""What a run tells of itself: lines for machines, curves for TensorBoard, and nothing from a second process."""

from __future__ import annotations

import json

import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.training.log import Log
from mapkd_core.training.parallel import ALONE, Group


def test_lines_and_curves(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard")
    log = Log(tmp_path / "run", TrainConfig(batch=3), ALONE)
    log.write({"step": 50, "total": 1.5, "final": True})
    log.close()
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text()) == {"step": 50, "total": 1.5, "final": True}
    assert json.loads((tmp_path / "run" / "config.json").read_text())["batch"] == 3
    curves = accumulator.EventAccumulator(str(tmp_path / "run" / "curves"))
    curves.Reload()
    assert [(e.step, e.value) for e in curves.Scalars("total")] == [(50, 1.5)]
    assert curves.Tags()["scalars"] == ["total"]


def test_a_second_process_writes_nothing(tmp_path):
    log = Log(tmp_path / "run", TrainConfig(), Group(1, 2, torch.device("cpu")))
    log.write({"step": 50, "total": 1.5})
    log.close()
    assert not (tmp_path / "run").exists()
