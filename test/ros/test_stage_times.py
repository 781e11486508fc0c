# SPDX-License-Identifier: Apache-2.0
"""The stages before the prediction, by hand: what one of them does not hold, another one does."""

from __future__ import annotations

import pytest

from mapkd_ros.frame_set import MISSING, OK, REUSED, FrameSet, Stamped
from mapkd_ros.stage_times import CompleteSet, before_prediction

MS = 1_000_000
STATES = {"front": OK, "left": OK, "back": REUSED, "right": MISSING}


def _job(clock_ms: int) -> CompleteSet:
    frames = {"front": Stamped(100 * MS, None), "left": Stamped(130 * MS, None), "back": Stamped(20 * MS, None)}
    return CompleteSet(FrameSet(100 * MS, "front", frames, STATES), at_s=5.0, clock_ns=clock_ms * MS)


def test_stages_add_up_from_the_anchors_capture_to_the_frame():
    stages = before_prediction(_job(142), begin_s=5.003, ready_s=5.010, decode_s=0.002, encode_s=0.001)
    assert list(stages) == ["exposure", "receive", "queue", "decode", "encode", "assemble"]
    assert list(stages.values()) == pytest.approx([30, 12, 3, 2, 1, 4])
    assert sum(stages.values()) == pytest.approx(142 - 100 + 10)


def test_a_simulated_clock_behind_the_newest_picture_is_no_negative_time():
    assert before_prediction(_job(120), 5.0, 5.0, 0.0)["receive"] == 0
