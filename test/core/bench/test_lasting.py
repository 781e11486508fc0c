# SPDX-License-Identifier: Apache-2.0
"""What `mapkd bench fusion` measures, on a step whose answer is known, and on two frames of a drive."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.bench.lasting import FusionBench, forty_polylines, markdown, numbered, run
from mapkd_core.bench.steadiness import Steadiness
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.mapper import SHIPPED
from mapkd_core.types import MapElement


def line(y: float, name: str = "divider") -> MapElement:
    return MapElement(name, np.array([[-20.0, y], [20.0, y]]))


def test_a_line_that_moves_aside_and_one_that_is_lost():
    """81 points move by 0.3 m; 81 of the boundary have nothing of their class: half is lost."""
    steadiness = Steadiness(BevGrid())
    steadiness.add("a", [line(0.0), line(3.0, "boundary")], np.eye(4))
    steadiness.add("a", [line(0.3), line(3.0)], np.eye(4))
    steadiness.add("b", [line(9.0)], np.eye(4))
    assert steadiness.result() == {"step_m": 0.3, "lost": 0.5}


def test_the_motion_of_the_vehicle_is_undone():
    steadiness = Steadiness(BevGrid())
    steadiness.add("a", [line(0.0)], np.eye(4))
    steadiness.add("a", [line(-2.0)], planar(0, 2.0, 0))
    assert steadiness.result() == {"step_m": 0.0, "lost": 0.0}


def test_what_has_no_track_shares_its_number_with_nobody():
    assert [e.track for e in numbered([line(0), line(1), line(2)], [7, 0, 0])] == [7, -2, -3]


def test_forty_polylines_are_fused_in_every_frame():
    assert len(forty_polylines(8)) == 6


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="at least one of two"):
        run(FusionBench(drives=1, frames=1))


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no shipped weights")
def test_a_drive_gives_both_rows():
    result = run(FusionBench(drives=1, frames=3))
    assert set(result["rows"]) == {"single frame", "fused"}
    assert all(row["map"] is None or 0 <= row["map"] <= 1 for row in result["rows"].values())
    assert "| fused" in "\n".join(markdown(result))
