# SPDX-License-Identifier: Apache-2.0
"""PyTorch's random numbers, kept in checkpoints: what draws from them goes on as if it had not been stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def state(device: torch.device) -> dict[str, torch.Tensor]:
    """Entries for a checkpoint: of the CPU, and of the device where it has its own."""
    found = {"random": torch.get_rng_state()}
    return found | ({"random_cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore(content: Mapping[str, Any], device: torch.device) -> None:
    """From a checkpoint; older ones, and those of another kind of device, may lack entries."""
    if "random" in content:
        torch.set_rng_state(content["random"])
    if "random_cuda" in content and device.type == "cuda":
        torch.cuda.set_rng_state(content["random_cuda"], device)
