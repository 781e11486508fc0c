# SPDX-License-Identifier: Apache-2.0
"""HD priors err as they are told to: cases small enough to work out by hand."""

import numpy as np
import pytest

from mapkd_core.worlds import polylines
from mapkd_core.worlds.priors.hd import LEVELS, HdDamage, damaged
from mapkd_core.worlds.road_map import RoadMap

DIVIDER = np.array([[-50.0, 1.0], [50.0, 1.0]])
BOUNDARY = np.array([[-50.0, -4.0], [50.0, -4.0]])
CROSSING = np.array([[10.0, -4.0], [13.0, -4.0], [13.0, 6.0], [10.0, 6.0]])
STANDING = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])


def road(copies: int = 1) -> RoadMap:
    """A road along x; `copies` of it 100 m apart."""
    up = [np.array([0.0, 100.0 * i]) for i in range(copies)]
    return RoadMap(
        "road", tuple(DIVIDER + u for u in up), tuple(BOUNDARY + u for u in up), tuple(CROSSING + u for u in up), (),
        STANDING,
    )  # fmt: skip


def test_the_true_level_changes_nothing():
    prior = damaged(road(), "true", 5)
    assert (prior.removed, prior.moved, prior.added) == (0, 0, 0)
    assert np.array_equal(prior.prior_T_map, np.eye(4))
    for name in ("dividers", "boundaries", "crossings"):
        assert np.array_equal(getattr(prior.road_map, name)[0], getattr(road(), name)[0])


def test_shift_is_one_rigid_motion_of_everything():
    prior = damaged(road(3), HdDamage(shift_m=2.0), 5)
    expected = prior.prior_T_map[:2, 3]
    assert 0.05 < np.hypot(*expected) < 8
    for name in ("dividers", "boundaries", "crossings"):
        for had, true in zip(getattr(prior.road_map, name), getattr(road(3), name), strict=True):
            assert had - true == pytest.approx(np.tile(expected, (len(true), 1)))


def test_yaw_turns_around_the_drive():
    prior = damaged(road(), HdDamage(yaw_rad=0.1), 5)
    yaw = np.arctan2(prior.prior_T_map[1, 0], prior.prior_T_map[0, 0])
    step = prior.road_map.dividers[0][1] - prior.road_map.dividers[0][0]
    assert np.arctan2(step[1], step[0]) == pytest.approx(yaw) and abs(yaw) > 1e-3
    # The divider passes the standing vehicle at 1 m before and after.
    (x0, y0), (x1, y1) = prior.road_map.dividers[0]
    assert abs(x0 * y1 - x1 * y0) / 100.0 == pytest.approx(1.0)


def test_a_hole_cuts_what_lies_around_the_vehicle():
    """A hole of 5 m around the origin: the divider, 1 m off, loses 2 sqrt(24) = 9.80 m, the boundary, 4 m off, 6 m."""
    prior = damaged(road(), HdDamage(holes_per_100m=50.0, hole_m=5.0), 5).road_map
    for lines, left in ((prior.dividers, 100 - 2 * np.sqrt(24)), (prior.boundaries, 94.0)):
        assert len(lines) == 2
        assert sum(polylines.arc_lengths(line)[-1] for line in lines) == pytest.approx(left, abs=0.1)
    assert len(prior.crossings) == 1  # its middle is 11.5 m away
    assert len(damaged(road(), HdDamage(holes_per_100m=50.0, hole_m=15.0), 5).road_map.crossings) == 0


def test_removed_and_moved_shares_are_met():
    everything = damaged(road(4), HdDamage(removed=1.0), 5)
    assert everything.removed == 12 and not everything.road_map.dividers
    half = damaged(road(300), HdDamage(removed=0.3), 5)
    assert half.removed == pytest.approx(270, abs=45)
    assert (
        len(half.road_map.dividers) + len(half.road_map.boundaries) + len(half.road_map.crossings) == 900 - half.removed
    )


def test_moved_elements_keep_their_shape_and_go_sideways():
    prior = damaged(road(300), HdDamage(moved=1.0, moved_m=2.0), 5)
    assert prior.moved == 900
    ways = np.array([had - true for had, true in zip(prior.road_map.dividers, road(300).dividers, strict=True)])
    assert ways[..., 0] == pytest.approx(0) and ways[:, 0] == pytest.approx(ways[:, 1])
    assert ways[:, 0, 1].std() == pytest.approx(2.0, rel=0.15)
    # A crossing's longest side runs across the road: it moves along the road.
    ring = prior.road_map.crossings[0] - CROSSING
    assert ring[:, 1] == pytest.approx(0) and ring[:, 0] == pytest.approx(ring[0, 0])


def test_added_elements_lie_beside_true_ones():
    prior = damaged(road(200), HdDamage(added=0.5), 5)
    assert prior.added == pytest.approx(300, abs=60)
    extra = prior.road_map.dividers[200:]
    assert {abs(float(line[0, 1]) % 100 - 1.0) for line in extra} <= {1.75, 98.25}
    extra_rings = prior.road_map.crossings[200:]
    assert {float(ring[0, 0]) for ring in extra_rings} == {-2.0, 22.0}


def test_levels_get_worse_and_repeat():
    lost = [damaged(road(100), level, 5) for level in LEVELS]
    assert [p.removed for p in lost] == sorted(p.removed for p in lost) and lost[-1].removed > 60
    again = damaged(road(100), "poor", 5)
    assert all(np.array_equal(a, b) for a, b in zip(lost[-1].road_map.dividers, again.road_map.dividers, strict=True))
    assert not np.array_equal(damaged(road(100), "poor", 6).prior_T_map, again.prior_T_map)


def test_wrong_levels_and_shares_are_refused():
    with pytest.raises(ValueError, match="'ancient' is unknown; known: true, fresh, aged, poor"):
        damaged(road(), "ancient", 5)
    with pytest.raises(ValueError, match=r"removed.*1\.5"):
        HdDamage(removed=1.5)
    with pytest.raises(ValueError, match="negative"):
        HdDamage(shift_m=-1.0)
