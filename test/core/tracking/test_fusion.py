# SPDX-License-Identifier: Apache-2.0
"""Fusion of successive maps: worlds of a few lines, of which every expected value can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.geometry import apply_planar, inverse, planar
from mapkd_core.grid import BevGrid
from mapkd_core.tracking import FusionOptions, MapFusion
from mapkd_core.tracking.around import around
from mapkd_core.types import LocalMap, MapElement

GRID = BevGrid()
STEP_NS = 100_000_000
X = np.linspace(-30, 30, 25)


class Drive:
    """A vehicle that drives along +x of the odometry frame at 10 m/s, a map every tenth of a second."""

    def __init__(self, **options):
        self.fusion = MapFusion(FusionOptions(**options))
        self.x, self.stamp_ns = 0.0, 0

    def see(self, *elements: MapElement, observed=None, step_m: float = 1.0, yaw: float = 0.0):
        """A map of these elements of the odometry frame; then the vehicle drives on."""
        self.pose = planar(self.x, 0, yaw)
        told = tuple(
            MapElement(e.class_name, apply_planar(inverse(self.pose), e.vertices_m), e.is_closed, e.confidence)
            for e in elements
        )
        made = self.fusion.update(LocalMap(GRID, told, observed=observed, stamp_ns=self.stamp_ns), self.pose)
        self.x, self.stamp_ns = self.x + step_m, self.stamp_ns + STEP_NS
        return made


def line(y: float, at: float, name: str = "divider", confidence: float = 0.8) -> MapElement:
    """Along x, over all that a map around x = `at` shows."""
    return MapElement(name, np.stack([X + at, np.full(len(X), y)], 1), False, confidence)


def square(x: float, y: float, size: float = 4.0) -> np.ndarray:
    return np.array([[x, y], [x + size, y], [x + size, y + size], [x, y + size]])


def test_noise_averages_out_and_the_uncertainty_says_how_far():
    """White noise of 0.3 m a frame: what one frame is off by 0.3 m is off by less than 0.1 m after 30."""
    rng, drive = np.random.default_rng(0), Drive(sigma_m=0.3, sigma_per_m=0.0)
    for _ in range(40):
        noisy = line(2.0, drive.x)
        made = drive.see(MapElement("divider", noisy.vertices_m + rng.normal(0, [0, 0.3], (25, 2)), False, 0.8))
    (element,) = made
    old = (element.vertices_m[:, 0] > drive.x - 20) & (element.vertices_m[:, 0] < drive.x)
    error = element.vertices_m[old, 1] - 2.0
    assert np.sqrt((error**2).mean()) < 0.1
    assert element.stddev_m[old].max() < 0.15 < element.stddev_m[-1], "new ends are less sure"


def test_a_bias_free_measurement_gives_the_variance_of_a_mean():
    """A standing vehicle, no drift: after n measurements of variance s2 the variance is s2 / n."""
    drive = Drive(sigma_m=0.4, sigma_per_m=0.0, drift=0.0)
    for _ in range(4):
        made = drive.see(line(2.0, 0.0), step_m=0.0)
    assert made[0].stddev_m == pytest.approx(np.full(len(made[0].stddev_m), 0.2))


def test_a_number_stays_over_a_hundred_frames_while_the_line_grows():
    drive = Drive()
    numbers, lengths = set(), []
    for _ in range(100):
        made = drive.see(line(2.0, drive.x))
        numbers |= {e.track for e in made}
        lengths.append(sum(np.ptp(e.vertices_m[:, 0]) for e in made))
    assert numbers == {1}
    assert lengths[30] > lengths[1] + 25, "it grows as the vehicle drives"
    assert max(lengths) < 60 + 30 + 3, "what is farther than the radius behind is forgotten"


def test_a_line_that_is_gone_vanishes_after_so_many_looks():
    drive = Drive(max_misses=4)
    for _ in range(5):
        drive.see(line(2.0, 0.0), step_m=0.0)
    counts = [len(drive.see(step_m=0.0)) for _ in range(6)]
    # Running mean of whether it was found, a fifth of the way each time: 0.5 .6 .68 .74 .8, then .64 .51 .41.
    assert counts == [1, 1, 0, 0, 0, 0]


def test_a_line_stays_where_nobody_looks():
    drive, hidden = Drive(max_misses=3), np.ones(GRID.shape, bool)
    hidden[100:] = False  # left of the vehicle
    for _ in range(5):
        drive.see(line(2.0, 0.0), line(-2.0, 0.0), step_m=0.0)
    for _ in range(20):
        made = drive.see(observed=hidden, step_m=0.0)
    (element,) = made
    assert element.vertices_m[:, 1] == pytest.approx(np.full(len(element.vertices_m), 2.0))


def test_a_part_that_is_gone_is_cut_out_and_the_longer_piece_keeps_the_number():
    drive = Drive(max_misses=3)
    for _ in range(3):
        drive.see(line(2.0, 0.0), step_m=0.0)
    left, right = (MapElement("divider", np.array(xy), False, 0.8) for xy in ([[-30, 2], [-5, 2]], [[10, 2], [30, 2]]))
    for _ in range(4):
        made = drive.see(left, right, step_m=0.0)
    by_number = {e.track: (e.vertices_m[:, 0].min(), e.vertices_m[:, 0].max()) for e in made}
    assert sorted(by_number) == [1, 2]
    assert by_number[1] == pytest.approx((-30, -5), abs=1.1) and by_number[2] == pytest.approx((10, 30), abs=1.1)


def test_lines_two_metres_apart_stay_two_whatever_the_noise():
    rng, drive = np.random.default_rng(1), Drive()
    for _ in range(50):
        pair = [line(y, drive.x) for y in (0.0, 2.0)]
        made = drive.see(
            *(MapElement("divider", e.vertices_m + rng.normal(0, [0, 0.2], (25, 2)), False, 0.8) for e in pair)
        )
    assert sorted(round(float(e.vertices_m[:, 1].mean())) for e in made) == [0, 2]
    assert {e.track for e in made} == {1, 2}


def test_classes_do_not_mix():
    drive = Drive()
    for _ in range(3):
        made = drive.see(line(2.0, drive.x), line(2.2, drive.x, "boundary"))
    assert sorted(e.class_name for e in made) == ["boundary", "divider"]


def test_the_direction_in_which_a_line_is_told_does_not_matter():
    drive = Drive()
    for i in range(20):
        element = line(2.0, drive.x)
        made = drive.see(MapElement("divider", element.vertices_m[:: -1 if i % 2 else 1], False, 0.8))
    (element,) = made
    assert element.track == 1 and np.ptp(element.vertices_m[:, 0]) > 70
    assert (np.diff(element.vertices_m[:, 0]) > 0).all()


def test_two_pieces_become_one_when_a_line_joins_them():
    drive = Drive()
    pieces = [MapElement("divider", np.array(xy), False, 0.8) for xy in ([[-25, 2], [-3, 2]], [[1, 2], [25, 2]])]
    for _ in range(3):
        made = drive.see(*pieces, step_m=0.0)
    assert sorted(e.track for e in made) == [1, 2]
    whole = MapElement("divider", np.array([[-25.0, 2], [25, 2]]), False, 0.8)
    for _ in range(3):
        made = drive.see(whole, step_m=0.0)
    (element,) = made
    assert element.track == 1 and np.ptp(element.vertices_m[:, 0]) == pytest.approx(50, abs=1)
    assert np.diff(element.vertices_m[:, 0]).min() > 0.2


def test_a_polygon_keeps_its_number_and_shape_whichever_way_round_it_is_told():
    drive = Drive(sigma_per_m=0.0)
    for i in range(10):
        corners = np.roll(square(5, -2), i, 0)[:: -1 if i % 2 else 1] + (0.1 * (-1) ** i, 0)
        made = drive.see(MapElement("ped_crossing", corners, True, 0.9), step_m=0.0)
    (element,) = made
    assert element.track == 1 and element.is_closed
    assert element.vertices_m[:, :2].min(0) == pytest.approx([5, -2], abs=0.06)
    assert element.vertices_m[:, :2].max(0) == pytest.approx([9, 2], abs=0.06)


def test_a_polygon_grows_from_behind_the_edge_of_the_map_and_vanishes_when_it_is_gone():
    """A crossing 25 to 35 m ahead: only what the map shows is told, and the outline grows with it."""
    drive = Drive(max_misses=3)
    for _ in range(12):
        far = min(35.0, drive.x + 30)
        corners = np.array([[25, -3], [far, -3], [far, 3], [25, 3.0]])
        made = drive.see(MapElement("ped_crossing", corners, True, 0.9))
    (element,) = made
    assert element.track == 1
    assert element.vertices_m[:, :2].min(0) == pytest.approx([25, -3], abs=0.2)
    assert element.vertices_m[:, :2].max(0) == pytest.approx([35, 3], abs=0.2)
    assert [len(drive.see()) for _ in range(4)] == [1, 1, 0, 0]


def test_a_closed_line_is_told_as_closed():
    ring = np.stack([8 * np.cos(np.arange(16) * np.pi / 8), 8 * np.sin(np.arange(16) * np.pi / 8)], 1)
    drive = Drive()
    for _ in range(3):
        made = drive.see(MapElement("boundary", ring, True, 0.8), step_m=0.0)
    (element,) = made
    assert element.is_closed and len(element.vertices_m) == pytest.approx(50, abs=3)


def test_jumps_of_odometry_and_of_time_begin_anew_with_new_numbers():
    drive = Drive(min_hits=2)
    for _ in range(5):
        drive.see(line(2.0, drive.x))
    drive.x += 5.0
    assert drive.see(line(2.0, drive.x)) == ()
    assert drive.fusion.resets == {"odometry jump": 1}
    assert [e.track for e in drive.see(line(2.0, drive.x))] == [2]
    drive.stamp_ns = 0
    drive.see(line(2.0, drive.x))
    assert drive.fusion.resets == {"odometry jump": 1, "time jump": 1}


def test_hard_braking_and_a_gap_in_the_frames_are_no_jump():
    drive = Drive()
    for step_m in (2.0, 2.0, 1.9, 1.8, 1.7):
        drive.see(line(2.0, drive.x), step_m=step_m)
    drive.stamp_ns += 20 * STEP_NS
    drive.x += 20 * 1.7
    assert len(drive.see(line(2.0, drive.x))) == 1 and not drive.fusion.resets


def test_memory_is_bounded_by_the_radius_and_the_number_of_tracks():
    rng, drive = np.random.default_rng(2), Drive(radius_m=30, max_tracks=20)
    sizes = []
    for _ in range(200):
        ends = rng.uniform([-28, -14], [28, 14], (40, 2)) + (drive.x, 0)
        noise = [MapElement("divider", np.stack([e, e + rng.normal(0, 4, 2)]), False, 0.5) for e in ends]
        drive.see(*noise)
        sizes.append(len(drive.fusion))
        tracks = drive.fusion._layers["divider", False].tracks
        assert all(np.hypot(*(t.vertices.xy - drive.pose[:2, 3]).T).max() <= 30 for t in tracks)
    assert max(sizes) <= 20


def test_the_same_frames_give_the_same_map():
    def make():
        rng, drive = np.random.default_rng(3), Drive()
        for _ in range(30):
            noise = [line(y + rng.normal(0, 0.3), drive.x) for y in (-4, 0, 4)]
            made = drive.see(*noise, yaw=float(rng.normal(0, 0.01)))
        return [(e.track, e.confidence, e.vertices_m.tolist()) for e in made]

    assert make() == make()


def test_confidence_falls_for_what_is_seldom_found():
    drive = Drive()
    for i in range(30):
        made = drive.see(line(2.0, 0.0), *([line(-2.0, 0.0)] if i % 2 else []), step_m=0.0)
    by_side = {round(float(e.vertices_m[:, 1].mean())): e.confidence for e in made}
    # Found every other time the running mean goes to 0.56 where it was found; half of the confidence is its.
    assert by_side[2] == pytest.approx(0.8, abs=0.02) and by_side[-2] == pytest.approx(0.8 * 0.78, abs=0.01)


def test_the_ground_under_a_tilted_vehicle_gives_the_heights():
    """The vehicle's nose is up by 0.1 rad at z = 3: 10 m ahead along the ground z is 3 + 10 sin 0.1."""
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(0.1), 0, -np.sin(0.1)], [0, 1, 0], [np.sin(0.1), 0, np.cos(0.1)]]
    pose[2, 3] = 3.0
    fusion = MapFusion(FusionOptions(min_hits=1))
    element = MapElement("divider", np.array([[0.0, 1.0], [10.0, 1.0]]), False, 0.8)
    (made,) = fusion.update(LocalMap(GRID, (element,)), pose)
    assert made.vertices_m[-1] == pytest.approx([10 * np.cos(0.1), 1.0, 3 + 10 * np.sin(0.1)])


def test_a_line_keeps_the_extent_that_the_frame_tells_and_lies_where_its_track_does():
    """A track of 60 m; the frame tells two lines with a gap, half a metre beside it: both are told, on the track."""
    drive = Drive(drift=0.0)
    for _ in range(40):
        drive.see(line(2.0, 0.0), step_m=0.0)
    halves = [
        MapElement("divider", np.array(xy), False, 0.8) for xy in ([[-30, 2.5], [-4, 2.5]], [[-2, 2.5], [30, 2.5]])
    ]
    made = drive.see(*halves, step_m=0.0)
    ends = sorted((e.vertices_m[:, 0].min(), e.vertices_m[:, 0].max()) for e in made)
    assert np.array(ends) == pytest.approx(np.array([(-30, -4), (-2, 30)]), abs=0.05) and {e.track for e in made} == {1}
    assert all(np.abs(e.vertices_m[:, 1] - 2.0).max() < 0.12 for e in made), "a fortieth of the way, or what is new"


def test_a_line_that_one_frame_misses_is_told_all_the_same():
    drive = Drive()
    for _ in range(5):
        drive.see(line(2.0, drive.x), line(-2.0, drive.x))
    made = drive.see(line(2.0, drive.x))
    sides = {round(float(e.vertices_m[:, 1].mean())): e.confidence for e in made}
    assert sides.keys() == {2, -2} and sides[-2] < sides[2] < 0.8


def test_what_was_found_once_is_told_while_it_is_found():
    drive = Drive()
    assert len(drive.see(line(2.0, drive.x))) == 1
    assert drive.see() == ()


def test_around_the_vehicle_it_gives_what_a_frame_would():
    drive = Drive()
    for _ in range(5):
        made = drive.see(line(2.0, drive.x))
    (element,) = around(made, drive.pose, GRID)
    assert element.track == 1 and element.vertices_m.shape[1] == 2
    assert np.abs(element.vertices_m[:, 0]).max() <= 30 and element.vertices_m[:, 1] == pytest.approx(2.0)


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan), np.eye(3), np.diag([1, -1, -1, 1])])
def test_a_pose_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="odom_T_ego"):
        MapFusion().update(LocalMap(GRID, ()), bad)


def test_lines_that_are_none_are_left_out():
    fusion = MapFusion()
    odd = [np.zeros((1, 2)), np.full((5, 2), np.nan), np.zeros((2, 2))]
    assert fusion.update(LocalMap(GRID, tuple(MapElement("divider", xy) for xy in odd)), np.eye(4)) == ()
    assert fusion.numbers == (0, 0, 0)


@pytest.mark.parametrize("change", [{"gate_m": 0}, {"max_misses": 0}, {"drift": -1}])
def test_options_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        FusionOptions(**change)
