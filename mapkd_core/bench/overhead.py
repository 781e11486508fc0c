# SPDX-License-Identifier: Apache-2.0
"""How much longer a frame takes in the node than in the network alone; from the medians of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_WORK = ("exposure", "receive")  # the cameras' and the middleware's time before the node has a frame to work on


def over_own_network(stages_ms: Mapping[str, Any]) -> float | None:
    """The node's other work over the network's time there, 0.1 = a tenth; None where the node did not tell.

    What else runs on the machine slows both.
    """
    work = _work(stages_ms)
    return None if "network" not in work else round(sum(work.values()) / work["network"] - 1, 3)


def over_bare_network(stages_ms: Mapping[str, Any], bare_ms: float) -> float | None:
    """All of the node's work over the same network alone on the machine, less one; None where the node did not tell.

    It has in it that replay, recorder and evaluation take their part of the cores.
    """
    work = _work(stages_ms)
    return None if "network" not in work else round(sum(work.values()) / bare_ms - 1, 3)


def _work(stages_ms: Mapping[str, Any]) -> dict[str, float]:
    """stages_ms: stage -> its p50 and others, or None where it was never told."""
    return {name: ms["p50"] for name, ms in stages_ms.items() if ms and "p50" in ms and name not in NOT_WORK}
