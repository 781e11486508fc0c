# SPDX-License-Identifier: Apache-2.0
"""Who calls the callbacks of a node's process: one thread, woken by events where rclpy can.

rclpy's older executor walks through every subscription, timer, service and QoS event before and after each message. A
map node has some eighty of them and hears a hundred messages a second: a quarter of a core, taken from the decoding and
the network on a vehicle's computer. The newer one is told what came (docs/performance.md has both measured).
"""

from __future__ import annotations

import os
from typing import Any

from rclpy.executors import SingleThreadedExecutor

VARIABLE = "MAPKD_EXECUTOR"
EVENTS, WAIT_SET = "events", "wait_set"


def make_executor(context: Any = None) -> Any:
    """rclpy's EventsExecutor where it has one (Jazzy and later), else its SingleThreadedExecutor.

    The environment's MAPKD_EXECUTOR=wait_set takes the older one everywhere. Raises ValueError for another value.
    """
    wanted = os.environ.get(VARIABLE) or EVENTS
    if wanted not in (EVENTS, WAIT_SET):
        raise ValueError(f"{VARIABLE} = {wanted!r}; known: {EVENTS}, {WAIT_SET}")
    if wanted == EVENTS:
        try:
            from rclpy.experimental import EventsExecutor

            return EventsExecutor(context=context)
        except ImportError:  # Humble has none
            pass
    return SingleThreadedExecutor(context=context)
