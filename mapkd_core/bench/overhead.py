# SPDX-License-Identifier: Apache-2.0
"""How much longer a frame takes in the node than in the network alone; from the medians of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_WORK = ("exposure", "receive")  # the cameras' and the middleware's time before the node has a frame to work on
NETWORK = ("encode", "network")  # what it made of the last pictures ahead of the frame, and all of the rest


def over_own_network(stages_ms: Mapping[str, Any]) -> float | None:
    """The node's other work over the network's time there, 0.1 = a tenth; None where the node did not tell.

    What else runs on the machine slows both. Pictures that were seen ahead, while others were still to come, are in
    neither: nobody waited for them.
    """
    network_ms = network(stages_ms)
    return None if network_ms is None else round(sum(_work(stages_ms).values()) / network_ms - 1, 3)


def over_bare_network(stages_ms: Mapping[str, Any], bare_ms: float) -> float | None:
    """All of the node's work over the same network alone on the machine, less one; None where the node did not tell.

    It has in it that replay, recorder and evaluation take their part of the cores.
    """
    work = _work(stages_ms)
    return None if "network" not in work else round(sum(work.values()) / bare_ms - 1, 3)


def network(stages_ms: Mapping[str, Any]) -> float | None:
    """Milliseconds that a frame waits for the network; None where the node did not tell."""
    work = _work(stages_ms)
    return sum(work.get(name, 0.0) for name in NETWORK) if "network" in work else None


def _work(stages_ms: Mapping[str, Any]) -> dict[str, float]:
    """stages_ms: stage -> its p50 and others, or None where it was never told."""
    return {name: ms["p50"] for name, ms in stages_ms.items() if ms and "p50" in ms and name not in NOT_WORK}
