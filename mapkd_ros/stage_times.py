# SPDX-License-Identifier: Apache-2.0
"""Where the time of a frame went before it was predicted: from the anchor's capture to the frame being ready."""

from __future__ import annotations

from typing import NamedTuple

from mapkd_ros.frame_set import FrameSet


class CompleteSet(NamedTuple):
    """A set on its way to the worker. at_s: time.monotonic() when it was complete; clock_ns: the node's clock then."""

    frame_set: FrameSet
    at_s: float
    clock_ns: int


def before_prediction(
    job: CompleteSet, begin_s: float, ready_s: float, decode_s: float, encode_s: float = 0.0
) -> dict[str, float]:
    """Stages in milliseconds, in order; with the later ones they add up to the latency from capture to map.

    begin_s: when the worker took the set; ready_s: when the frame was made (time.monotonic()). decode_s: how long it
    waited in between for pictures that were not decoded yet; encode_s: for what the network made of them ahead. A clock
    behind the stamps gives 0 for `receive`.
    """
    stamp_ns = job.frame_set.stamp_ns
    last_ns = max([stamp_ns, *(frame.stamp_ns for frame in job.frame_set.frames.values())])
    return {
        "exposure": (last_ns - stamp_ns) / 1e6,
        "receive": max(0, job.clock_ns - last_ns) / 1e6,
        "queue": 1e3 * (begin_s - job.at_s),
        "decode": 1e3 * decode_s,
        "encode": 1e3 * encode_s,
        "assemble": 1e3 * (ready_s - begin_s - decode_s - encode_s),
    }
