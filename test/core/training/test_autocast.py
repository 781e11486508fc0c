# SPDX-License-Identifier: Apache-2.0
"""A run trains in bf16 only where that is computed; else it would take six times as long."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.training import autocast
from mapkd_core.training.run_state import RunState

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({}, "fp32"), ({"avx512_bf16": False}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")],
)
def test_auto_is_what_the_processor_computes(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    autocast.computes_bf16.cache_clear()
    try:
        assert autocast.precision_of(TrainConfig(), CPU) == expected
        for generation, best in ((7, "fp32"), (9, "bf16")):
            monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda g=generation: (g, 0))
            assert autocast.precision_of(TrainConfig(), torch.device("cuda")) == best
        assert autocast.precision_of(TrainConfig(precision="bf16"), CPU) == "bf16", "who asks gets it"
        with autocast.autocast(TrainConfig(), CPU):
            assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype == (
                torch.bfloat16 if expected == "bf16" else torch.float32
            )
    finally:
        autocast.computes_bf16.cache_clear()


def test_an_unknown_precision_is_refused_before_the_first_step(tiny):
    from mapkd_core.models.build import build
    from mapkd_core.training.parallel import ALONE

    config = replace(TrainConfig(tiny), precision="fp8")
    with pytest.raises(ValueError, match="precision = 'fp8'; known: auto, bf16, fp32"):
        RunState(build(tiny), config, ALONE)
