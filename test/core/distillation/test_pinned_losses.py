# SPDX-License-Identifier: Apache-2.0
"""Losses of every scheme on fixed weights and frames, as they were when runs of `mapkd bench distill` were begun.

A change here changes what those runs compute: finished ones then belong to another scheme and must be trained again.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mapkd_core import distillation

PINNED: dict[str, dict[str, float]] = {
    "attention": {"attention": 8.273382},
    "bridgeta": {"bridge_feature": 0.031965, "bridge_response": 0.010119, "bridge_own_map": 1.133488},
    "channelwise": {"channelwise": 0.032388},
    "feature": {"feature": 0.03959},
    "foreground": {"foreground": 0.039587, "relation": 0.279113},
    "inherit": {
        "inherit_fused": 98.390373,
        "inherit_bev": 1472.791138,
        "inherit_response": 0.024919,
        "inherit_head": 0.315099,
    },
    "mapdistill": {"relation": 0.799911, "feature": 0.050187, "head": 0.061461},
    "mapkd": {"tgpd_teacher": 0.06903, "msrd_teacher": 0.008686, "tgpd_coach": 0.000825, "msrd_coach": 6.8e-05},
    "response": {"response": 0.01246},
}


@pytest.mark.parametrize("name", sorted(PINNED))
def test_losses_are_what_they_were(name, tiny, teacher_config, coach_config, network, frames):
    config = distillation.student_of(name, tiny)
    batch = frames(replace(teacher_config, view=config.view))
    torch.manual_seed(1)  # of what the scheme itself learns
    settings = {"inherit": "nothing", "response": 2.0} if name == "inherit" else {}  # with what is off by default
    scheme = distillation.make(name, settings, config, network(teacher_config), network(coach_config)).eval()
    with torch.no_grad():
        losses = scheme(batch, network(config).eval()(batch.images, batch.plan))
    assert {n: round(float(v), 6) for n, v in losses.items()} == pytest.approx(PINNED[name], rel=1e-3, abs=1e-5)
