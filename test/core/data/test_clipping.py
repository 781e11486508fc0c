# SPDX-License-Identifier: Apache-2.0
"""Cutting to the range for scoring: nothing inside changes, and a part keeps what its element had."""

from __future__ import annotations

import numpy as np

from mapkd_core.data.clipping import clip_outside
from mapkd_core.evaluation.map_files import ScoredElement
from mapkd_core.grid import BevGrid


def test_what_lies_inside_stays_the_same_object() -> None:
    inside = ScoredElement("divider", np.array([[-30.0, 15], [30, -15]]), False, 0.4, 3)
    assert clip_outside([inside], BevGrid())[0] is inside


def test_parts_keep_class_score_and_track_however_short_they_are() -> None:
    # Leaves the range at x = 30 and comes back for half a metre.
    there_and_back = np.array([[20.0, 0], [40, 0], [40, 5], [29.5, 5]])
    parts = clip_outside([ScoredElement("boundary", there_and_back, False, 0.4, 3)], BevGrid())
    assert sorted(np.ptp(part.vertices_m[:, 0]) for part in parts) == [0.5, 10.0]
    assert {(p.class_name, p.confidence, p.track, p.is_closed) for p in parts} == {("boundary", 0.4, 3, False)}


def test_a_crossing_is_cut_as_an_area() -> None:
    corners = np.array([[28.0, 0], [32, 0], [32, 4], [28, 4]])
    (part,) = clip_outside([ScoredElement("ped_crossing", corners, True, 0.4, 3)], BevGrid())
    assert part.is_closed and part.vertices_m.max(0).tolist() == [30, 4] and part.track == 3
    assert clip_outside([ScoredElement("ped_crossing", corners + [0, 40], True)], BevGrid()) == ()
