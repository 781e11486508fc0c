# SPDX-License-Identifier: Apache-2.0
"""Reduced decoding is measured beside whole pictures, and its table is made of the JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.bench import reduced, reduced_table
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights


def test_both_ways_are_mapped_and_compared(tiny, tmp_path, monkeypatch):
    """Pictures of 256 x 144, which a network of 96 pixels lets be halved."""
    monkeypatch.setattr(reduced, "FRAMES", 1)
    torch.manual_seed(0)
    config = replace(tiny, grid=BevGrid(-24.0, 24.0, -12.0, 12.0, 0.6))  # as far as the cameras see ground
    state = build(config).state_dict()
    state["raster.out.bias"] *= 0.0  # a fresh head says background everywhere
    state["raster.out.weight"] *= 20.0
    save_weights(tmp_path / "tiny.safetensors", state, config, {"vectors": "query"})
    result = json.loads(json.dumps(reduced.run(tmp_path / "tiny.safetensors", 2, 1, (256, 144), "torch")))
    assert result["factor"] == 2 and result["frames"] == 2 and set(result["scores"]) == set(reduced.KINDS)
    small, code = result["apart"]["reduced against whole"], result["apart"]["whole against raw"]
    assert 0 < small["pixel"] < 5 and 0 < code["pixel"] < 5 and small["pixel"] != code["pixel"]
    assert 0.5 < small["same_label"] < 1.0 and small["probability"] > 0
    assert "256 x 144" in reduced_table.markdown(result)[-1]


def test_losses_are_paired_by_world():
    """Hand-worked: 1 and 3 points lost are 2 ± 1; a world without truth for AP is left out of it."""
    worlds = [
        {"scores": {"whole": (0.50, 0.30), "reduced": (0.49, 0.28)}},
        {"scores": {"whole": (0.40, np.nan), "reduced": (0.37, np.nan)}},
        {"scores": {"whole": (0.40, 0.20), "reduced": (0.38, 0.20)}},
    ]
    lost = reduced._lost(worlds, "reduced", "whole")
    assert lost["miou"] == {"mean": 2.0, "error": pytest.approx(1 / np.sqrt(3), abs=1e-4)}
    assert lost["map"] == {"mean": 1.0, "error": 1.0}


def test_one_world_says_nothing_of_chance():
    with pytest.raises(ValueError, match="worlds = 1; must be at least 2"):
        reduced.run(worlds=1)
